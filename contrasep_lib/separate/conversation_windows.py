"""Windows of a conversation: what each says of its talkers, and its outputs once the recording has decided."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch

from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.machine import give_back_memory
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.separate.conversation import Decision
from contrasep_lib.separate.model_separator import ModelSeparator, hard_shares
from contrasep_lib.separate.separation import Separation
from contrasep_lib.separate.voices import SECONDS, Blocks, blocks_of
from contrasep_lib.separate.window_store import WindowStore

_HEARD = "heard"
_FIELDS = tuple(field.name for field in dataclasses.fields(Blocks))
# moves of nodes to the nearest centroid; blocks of a talker elsewhere that count in a window
_MOVES, _ELSEWHERE = 3, 2.0


def key_of(separator: ModelSeparator, samples: np.ndarray, rate: int, spans: Sequence[tuple[int, int]]) -> str:
    """Key of a recording, a model and the options that the windows depend on."""
    found = hashlib.sha256(np.ascontiguousarray(samples))
    for name, value in sorted(separator.model.state_dict().items()):
        found.update(name.encode() + np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    options = (separator.precision, separator.modularity, separator.options, rate, spans)
    found.update(repr(options).encode())
    return found.hexdigest()


class ConversationWindows:
    """Finds evidence in windows and separates them, each once.

    Args:
        separator: with a voice space.
        store: keeps both.
        rate: Hz.
    """

    def __init__(self, separator: ModelSeparator, store: WindowStore, rate: int) -> None:
        self.separator, self.store, self.rate = separator, store, rate

    @torch.no_grad()
    def blocks(self, number: int, samples: np.ndarray) -> Blocks:
        """Blocks of a window.

        Args:
            number: of the window.
            samples: of the window, ``(samples,)`` float32.
        """
        kept = self.store.seen(number)
        if kept is None or not set(_FIELDS) <= set(kept):
            nodes, seen = self.separator.analyse(samples)
            blocks = blocks_of(self.separator.model, nodes, samples, self.rate)
            kept = {name: getattr(blocks, name) for name in _FIELDS}
            if seen.hidden is not None:
                # half precision is exact to a thousandth, and half the size
                kept["hidden"] = seen.hidden.cpu().to(torch.float16).numpy()
            self.store.save_seen(number, kept)
            del nodes, seen
            give_back_memory()
        return Blocks(*(kept[name] for name in _FIELDS))

    def heard(self, number: int, samples: np.ndarray, blocks: Blocks) -> np.ndarray:
        """What the speaker encoder says of the blocks of a window, ``(blocks, dim)`` of unit norm.

        Each block is heard in a part of the recording about its middle that is as long as the encoder takes.

        Args:
            number: of the window.
            samples: of the window, ``(samples,)`` float32.
            blocks: see `blocks`.
        """
        kept = self.store.seen(number) or {}
        if len(kept.get(_HEARD, ())) != len(blocks.number):
            encoder = self.separator.speakers
            assert encoder is not None
            kept[_HEARD] = encoder.utterances(samples, self.rate, (blocks.number + 0.5) * SECONDS).vectors
            self.store.save_seen(number, kept)
        return kept[_HEARD]

    @torch.no_grad()
    def separation(
        self, number: int, samples: np.ndarray, starts: np.ndarray, words: str, num_spk_given: bool
    ) -> tuple[Separation, float]:
        """Separate a window; its outputs are kept in the store, and left out of what is returned.

        Args:
            number: of the window.
            samples: of the window, ``(samples,)`` float32.
            starts: centroids that talkers of the window begin with, ``(talkers, dim)``.
            words: about the count.
            num_spk_given: whether the recording's was given.

        Returns:
            The separation, and the largest magnitude of its outputs.
        """
        starts = starts.astype(np.float32)
        kept = self.store.outputs(number)
        if kept is None or not np.array_equal(kept.get("starts"), starts):
            nodes, seen = self._analysis(number, samples)
            labels, centroids = communities(nodes, torch.from_numpy(starts).to(nodes.z.device))
            made = self.separator.of_communities(nodes, seen, labels, centroids, samples, words, num_spk_given)
            if not np.isfinite(made.outputs).all():
                raise ContrasepError(f"window {number + 1}: an output has NaN or infinite samples")
            conductance = math.nan if made.conductance is None else made.conductance
            assert made.centroids is not None
            measured = [made.modularity, made.normalised_modularity, conductance]
            kept = {
                "starts": starts, "outputs": made.outputs, "centroids": made.centroids, "sizes": np.array(made.sizes),
                "measured": np.array(measured, np.float64), "shape": np.array(made.shape),
            }
            self.store.save_outputs(number, kept)
            del nodes, seen
            give_back_memory()
        modularity, normalised, conductance = kept["measured"].tolist()
        # a slice would keep the outputs of all windows in memory
        return Separation(
            np.zeros((len(starts), 0), np.float32), np.zeros((0, len(starts)), np.float32),
            tuple(kept["shape"].tolist()), num_spk_given, modularity, None if math.isnan(conductance) else conductance,
            tuple(kept["sizes"].tolist()), words, kept["centroids"], normalised_modularity=normalised,
        ), float(np.abs(kept["outputs"]).max(initial=0.0))

    def _analysis(self, number: int, samples: np.ndarray) -> tuple[NodeSet, Analysis]:
        kept = self.store.seen(number)
        hidden = None if kept is None else kept.get("hidden")
        return self.separator.analyse(samples, None if hidden is None else torch.from_numpy(hidden).float())


def communities(nodes: NodeSet, starts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Communities about given centroids: nodes go to the nearest, which then move to the mean of theirs.

    Args:
        nodes: of a window, one row.
        starts: ``(K, dim)`` of unit norm.

    Returns:
        ``(1, nodes)`` int64, -1 on invalid nodes, and centroids ``(1, K, dim)``; one without nodes stays.
    """
    centroids = starts[None]
    labels = torch.zeros(nodes.weight.shape, dtype=torch.int64, device=starts.device)
    for _ in range(_MOVES):
        labels = torch.where(nodes.valid, (nodes.z.float() @ centroids.transpose(1, 2)).argmax(-1), -1)
        hard = hard_shares(nodes, labels, len(starts)).float()
        found = centroids_of(nodes.z.float(), hard, nodes.weight * nodes.valid)
        centroids = torch.where(found.abs().sum(-1, keepdim=True) > 0, found, centroids)
    return labels, centroids


def starts_of(blocks: Sequence[Blocks], decision: Decision) -> list[np.ndarray]:
    """Centroids with which the talkers of each window begin, ``(talkers present, dim)`` of unit norm.

    That of a talker is the mean of the blocks in which this person talks alone in the window, with some of all others,
    which decide where there are none.
    """
    dim = blocks[0].mean.shape[1]
    whole = np.zeros((decision.count, dim))
    local = []
    for each, talkers in zip(blocks, decision.talkers):
        here = np.zeros((decision.count, dim))
        unit = each.mean / np.linalg.norm(each.mean, axis=1, keepdims=True)
        np.add.at(here, talkers[talkers >= 0], unit[talkers >= 0])
        local.append(here)
        whole += here
    whole /= np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-9)
    found = []
    for window, here in enumerate(local):
        present = decision.present(window)
        start = here[present] + _ELSEWHERE * whole[present]
        found.append(start / np.maximum(np.linalg.norm(start, axis=1, keepdims=True), 1e-9))
    return found
