"""What a training step computes once, with labels and without."""

from __future__ import annotations

import functools

import torch

from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.labels import LabelledNodes, remix
from contrasep_lib.nodes.stft import stft
from contrasep_lib.objectives.base import Remix, Sources, Step
from contrasep_lib.objectives.ranks import Share


def labelled_step(
    model: SeparationModel,
    mixture: torch.Tensor,
    lengths: torch.Tensor,
    sources: torch.Tensor,
    num_spk: torch.Tensor | None,
    speaker: torch.Tensor | None,
    share: Share,
) -> Step:
    """A step whose nodes belong to the sources that dominate them.

    Args:
        model: what learns.
        mixture: ``(batch, samples)``.
        lengths: ``(batch,)`` samples of each.
        sources, num_spk, speaker: see `contrasep_lib.train.espnet_model.EspnetModel.forward`.
        share: which items of the batch these are.
    """
    mixture, frames = model.trimmed(mixture, lengths)
    spectrum = stft(mixture, model.features)
    known = _sources(model, mixture, spectrum, sources, lengths, num_spk)
    analysis = model.analyse_spectrum(mixture, lengths, spectrum, frames)
    nodes = _dominated(model, analysis, frames, known, num_spk is not None, speaker, share.rank)
    pooled = nodes.names is not None or model.options.negatives == "batch"
    return Step(model, nodes, analysis, share.draws(), pooled, sources=known, share=share)


def _sources(
    model: SeparationModel, mixture: torch.Tensor, spectrum: torch.Tensor, sources: torch.Tensor, lengths: torch.Tensor,
    num_spk: torch.Tensor | None,
) -> Sources:
    batch, most, samples = sources.shape
    device = sources.device
    counts = torch.full((batch,), most, device=device) if num_spk is None else num_spk.long()
    present = torch.arange(most, device=device) < counts.unsqueeze(1)
    inside = torch.arange(samples, device=device) < lengths.unsqueeze(1)
    signals = torch.where(present.unsqueeze(-1) & inside.unsqueeze(1), sources, 0.0)
    power = rest_power = None
    told = model.options.noise_nodes_db is not None
    if most > 1 or told or model.has_noise:
        with torch.no_grad():
            spectra = stft(signals, model.features)
            power = model.granularity.pool(spectra.abs().square())
            if told:
                rest_power = model.granularity.pool((spectrum - spectra.sum(1)).abs().square())
    return Sources(signals, lengths, counts, power, mixture - signals.sum(1), rest_power)


def _dominated(
    model: SeparationModel,
    analysis: Analysis,
    frames: torch.Tensor,
    sources: Sources,
    counted: bool,
    speaker: torch.Tensor | None,
    rank: int,
) -> LabelledNodes:
    """Nodes of mixtures, labelled by the source that dominates them; ``counted``: numbers of speakers are known."""
    nodes, valid = model.nodes_of(analysis.spectrum, frames)
    weight, device = model.weights_of(nodes, valid), valid.device
    batch, most = sources.signals.shape[:2]
    if sources.power is None:
        dominant = torch.zeros_like(valid, dtype=torch.int64)
    else:
        dominant = model.granularity.loudest(sources.power)
        # noise is nobody's
        valid = valid & ~_noise_nodes(model, nodes.power, sources)
    if most > 1 and counted and model.counter is not None:
        # a single speaker among mixtures teaches the count; as one label it would draw all directions together
        valid = valid & (sources.counts > 1).unsqueeze(1)
    if most > 1 and model.options.negatives == "utterance":
        return LabelledNodes(analysis.z, dominant, weight, valid, most)
    # no two unknown speakers are taken for one, on whatever rank
    unknown = -1 - torch.arange(batch * most, device=device).view(batch, most) - rank * 2**32
    names = unknown if speaker is None else torch.where(speaker >= 0, speaker.long(), unknown)
    # absent ones dominate nothing and need no label of their own
    absent = torch.arange(most, device=device) >= sources.counts.unsqueeze(1)
    names = torch.where(absent, names[:, :1], names)
    names, numbers = names.unique(return_inverse=True)
    return LabelledNodes(analysis.z, numbers.gather(1, dominant), weight, valid, len(names), names)


def _noise_nodes(model: SeparationModel, power: torch.Tensor, sources: Sources) -> torch.Tensor:
    """Which nodes noise dominates, ``(batch, nodes)`` bool.

    Args:
        model: see `contrasep_lib.models.options.ModelOptions.noise_db`.
        power: of the mixture in each node, ``(batch, nodes)``.
        sources: of the mixtures.
    """
    if sources.rest_power is None:
        # more than any sum of the sources
        return power > 2 * sources.power.shape[1] * sources.power.sum(1)
    return sources.rest_power > 10 ** (model.options.noise_nodes_db / 10) * sources.power.amax(1)


def remixed_step(
    model: SeparationModel, mixture: torch.Tensor, lengths: torch.Tensor, share: Share
) -> Step:
    """A step without labels: nodes of remixes belong to the recordings that dominate them.

    Args:
        model, mixture, lengths, share: as for `labelled_step`.
    """
    options, batch_negatives = model.options, model.options.negatives == "batch"
    mixture, frames = model.trimmed(mixture, lengths)
    draws = share.draws()
    intruder, other = remix(mixture, lengths, options.remix_db, draws)
    spectra = stft(torch.stack([mixture, intruder], dim=1), model.features)
    spectrum = spectra.sum(1)
    nodes, valid = model.nodes_of(spectrum, frames)
    analysis = model.analyse_spectrum(mixture + intruder, lengths, spectrum, frames)
    which = model.granularity.targets_of(spectra)
    itself = torch.arange(len(mixture), device=mixture.device)
    recording = torch.stack([itself, other], dim=1).gather(1, which)
    labels, number = (recording, len(mixture) + 1) if batch_negatives else (which, 2)
    labelled = LabelledNodes(analysis.z, labels, model.weights_of(nodes, valid), valid, number)

    @functools.cache
    def alone() -> tuple[torch.Tensor, torch.Tensor]:
        return (
            model.analyse_spectrum(mixture, lengths, spectra[:, 0], frames).z, model.nodes_of(spectra[:, 0], frames)[1]
        )

    return Step(model, labelled, analysis, draws, batch_negatives, remix=Remix(recording, alone), share=share)
