"""Trained recognisers as files: ``asr.pth``, read with ``weights_only=True``; its options and text units are in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from contrasep_lib.asr.options import AsrOptions
from contrasep_lib.asr.recogniser import Recogniser
from contrasep_lib.asr.tokens import Tokens
from contrasep_lib.config import as_tree, build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import no_weight, plain, read_states, write_states

FORMAT, VERSION = "contrasep recogniser", 2


def save_recogniser(path: str | os.PathLike, model: Recogniser, training: Mapping[str, Any]) -> None:
    """Write a recogniser under a temporary name, then rename it.

    Args:
        path: ``asr.pth``.
        model: the recogniser.
        training: what it learned from and what it reached, plain values; for the record.
    """
    write_states(path, {
        "format": FORMAT, "version": VERSION, "asr": plain(as_tree(model.options)), "training": plain(training),
        "words": list(model.lexicon.words) if model.lexicon else [],
        "tokens": torch.frombuffer(bytearray(model.tokens.model), dtype=torch.uint8), "state": model.state_dict(),
    })


def load_recogniser(path: str | os.PathLike, device: str = "cpu") -> Recogniser:
    """Read a recogniser, in evaluation mode.

    Raises:
        ContrasepError: missing, damaged or foreign file, another version, weights that are not finite.
    """
    content = read_states(path, device)
    if content.get("format") != FORMAT:
        raise ContrasepError(f"{path}: not a recogniser; name an asr.pth that contrasep train-asr wrote")
    if content.get("version") != VERSION:
        raise ContrasepError(
            f"{path}: expected a recogniser of version {VERSION}, got {content.get('version')!r}; train it again"
        )
    for name, tree in (("state", content.get("state")), ("tokens", {"tokens": content.get("tokens")})):
        if wrong := no_weight(tree):
            raise ContrasepError(
                f"{path}: {name}: expected finite values, got {wrong}; train it again, or name another file"
            )
    try:
        options = build(AsrOptions, content["asr"], f"{path}: asr")
        try:
            tokens = Tokens(content["tokens"].cpu().numpy().tobytes())
        except ContrasepError as error:
            raise ContrasepError(f"{path}: tokens: {error}") from None
        model = Recogniser(options, tokens, content["words"])
        model.load_state_dict(content["state"])
    except (KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ContrasepError(f"{path}: recogniser of another version ({reason}); train it again") from None
    return model.to(device).eval()
