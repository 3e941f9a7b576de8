"""The peers as models: ESPnet's separators between spectra or filters, with loss and separation.

ESPnet's enhancement task is never imported (it wants the network); its classes come by themselves.
Mixed precision holds within the separators alone: transforms, masks and losses are float32.
"""

from __future__ import annotations

import abc
import zlib
from typing import Any

import numpy as np
import torch
from espnet2.enh.decoder.conv_decoder import ConvDecoder
from espnet2.enh.encoder.conv_encoder import ConvEncoder
from espnet2.enh.separator.dan_separator import DANSeparator
from espnet2.enh.separator.dpcl_separator import DPCLSeparator
from espnet2.enh.separator.tcn_separator import TCNSeparator
from espnet2.enh.separator.tfgridnetv2_separator import TFGridNetV2
from espnet2.train.abs_espnet_model import AbsESPnetModel
from scipy.cluster.vq import kmeans2

from contrasep_lib.embedding.backbones.base import run_recurrent, shorter
from contrasep_lib.embedding.heads import unit_norm
from contrasep_lib.embedding.inputs import SpectrumInput, frame_mask
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.nodes.granularity import Nodes, TimeFrequency, apply_mask
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames, stft
from contrasep_lib.objectives.deep_clustering import deep_clustering_loss
from contrasep_lib.separate.model_separator import hard_shares
from peers.losses import pit_si_snr_loss
from peers.options import PeerOptions

LLOYD_STEPS = 50


class Peer(AbsESPnetModel, abc.ABC):
    """A system of a fixed number of talkers.

    Args:
        options: which, and how large.
    """

    def __init__(self, options: PeerOptions) -> None:
        super().__init__()
        self.options = options
        # whether separators compute in mixed precision: within a step of training that wants it
        self.mixed = False

    @abc.abstractmethod
    def loss(self, mixture: torch.Tensor, lengths: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        """Loss (scalar) of ``mixture (batch, samples)`` of ``lengths (batch,)``, ``sources (batch, K, samples)``."""

    @abc.abstractmethod
    def separate(self, mixture: torch.Tensor) -> torch.Tensor:
        """Talkers ``(1, K, samples)`` of ``mixture (1, samples)``, which is not all silence."""

    def forward(
        self, mixture: torch.Tensor, mixture_lengths: torch.Tensor, sources: torch.Tensor, **kwargs: Any
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Loss of a batch, its statistics and its weight; see `EspnetModel.forward`.

        Raises:
            ValueError: mixtures of another number of talkers.
        """
        if sources.shape[1] != self.options.num_spk:
            raise ValueError(f"sources: expected {self.options.num_spk} talkers, got {sources.shape[1]}")
        # longest first, as ESPnet packs batches
        order = mixture_lengths.argsort(descending=True, stable=True)
        inside = torch.arange(mixture.shape[1], device=mixture.device) < mixture_lengths.unsqueeze(1)
        mixture, sources = torch.where(inside, mixture, 0.0), torch.where(inside.unsqueeze(1), sources, 0.0)
        self.mixed = torch.is_autocast_enabled(mixture.device.type)
        try:
            with torch.autocast(mixture.device.type, enabled=False):
                loss = self.loss(mixture[order], mixture_lengths[order], sources[order])
        finally:
            self.mixed = False
        return loss, {"loss": loss.detach()}, loss.new_tensor(float(len(mixture)))

    def precision(self, signal: torch.Tensor) -> torch.autocast:
        """The context in which the separator computes."""
        return torch.autocast(signal.device.type, torch.bfloat16, enabled=self.mixed)

    def collect_feats(
        self, mixture: torch.Tensor, mixture_lengths: torch.Tensor, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """What it reads: samples ``(batch, samples)`` and their numbers ``(batch,)``, as ESPnet's own separators say."""
        return {"feats": mixture, "feats_lengths": mixture_lengths}


class _Unpacked(torch.nn.Module):
    """ESPnet's recurrent layers, run as ours are.

    ESPnet packs every batch, and a packed LSTM takes several times as long on CPUs. The result is the
    same, so the peer is not held back by it.

    Args:
        rnn: ESPnet's layers, whose parameters are shared.
    """

    def __init__(self, rnn: torch.nn.Module) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, feature: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """As ESPnet's: ``(batch, frames, freq)`` to ``(batch, frames, unit)``."""
        hidden = run_recurrent(self.rnn.nbrnn, feature, shorter(lengths, feature.shape[1]))
        return torch.tanh(self.rnn.l_last(hidden)), lengths, None


class _Embedding(Peer):
    """Deep clustering and deep attractors: embeddings of time-frequency units by an LSTM.

    Both see our log-magnitudes, normalised per frequency (as both papers have them; ESPnet's recipes
    take magnitudes as they are).

    Args:
        options: the peer.
        stats: Kaldi CMVN statistics of its spectra, ``(2, freq + 1)``, or None.
        separator: ESPnet's class.
    """

    def __init__(self, options: PeerOptions, stats: np.ndarray | None, separator: type) -> None:
        super().__init__(options)
        self.features = FeatureOptions(**options.arguments["features"])
        self.inputs = SpectrumInput(self.features, stats)
        self.granularity = TimeFrequency(self.features)
        self.separator = separator(
            self.features.win // 2 + 1, num_spk=options.num_spk, **options.arguments["separator"]
        )
        self.separator.blstm = _Unpacked(self.separator.blstm)

    def embed(self, feature: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Embeddings ``(batch, nodes, dim)`` float32: ESPnet's layers up to its clustering."""
        separator = self.separator
        with self.precision(feature):
            hidden, _, _ = separator.blstm(feature, frames)
            embedding = separator.nonlinear(separator.linear(hidden))
        return embedding.float().reshape(len(feature), -1, separator.D)

    def units(
        self, mixture: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[Nodes, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Nodes, which of them are neither silent nor padding, the network's input, and frames ``(batch,)``."""
        nodes = self.granularity.nodes(mixture)
        frames = num_frames(lengths, self.features)
        inside = frame_mask(frames, nodes.spectrum.shape[1]).repeat_interleave(nodes.shape[1], dim=1)
        return nodes, nodes.valid & inside, self.inputs(nodes.spectrum, frames), frames

    @torch.no_grad()
    def clusters(self, mixture: torch.Tensor) -> tuple[Nodes, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Nodes, which are not silent, embeddings, and their labels by k-means on directions, -1 where silent."""
        lengths = torch.full((1,), mixture.shape[1], device=mixture.device)
        nodes, valid, feature, frames = self.units(mixture, lengths)
        embedding = self.embed(feature, frames)
        spread = NodeSet(unit_norm(embedding), valid.to(embedding.dtype), valid, nodes.shape)
        seed = zlib.crc32(mixture.cpu().numpy().tobytes()) % 2**31
        labels = KMeansSolver().solve(spread, self.options.num_spk, KernelGraph(), seed).labels
        return nodes, valid, embedding, labels


class DeepClustering(_Embedding):
    """Hershey et al., ICASSP 2016: k-means on embeddings of unit norm, binary masks.

    Weights of units in the loss are magnitudes (Wang, Le Roux, Hershey, ICASSP 2018, section 3), as in our models.
    """

    def __init__(self, options: PeerOptions, stats: np.ndarray | None = None) -> None:
        super().__init__(options, stats, DPCLSeparator)

    def loss(self, mixture: torch.Tensor, lengths: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        nodes, valid, feature, frames = self.units(mixture, lengths)
        z = unit_norm(self.embed(feature, frames))
        targets = self.granularity.targets(sources)
        return deep_clustering_loss(z, targets, self.options.num_spk, nodes.power.sqrt(), valid)

    @torch.no_grad()
    def separate(self, mixture: torch.Tensor) -> torch.Tensor:
        nodes, valid, embedding, labels = self.clusters(mixture)
        spread = NodeSet(embedding, valid.to(embedding.dtype), valid, nodes.shape)
        mask = self.granularity.mask(hard_shares(spread, labels, self.options.num_spk), nodes)
        return apply_mask(mask, nodes.spectrum, mixture.shape[1], self.features)


class DeepAttractors(_Embedding):
    """Chen, Luo, Mesgarani, ICASSP 2017: masks by similarity with attractors.

    In training attractors are the mean embeddings of the units that a source dominates, and the loss
    is the squared error of the masked spectrum (ESPnet's ``mse`` on spectra) over the mixture's power.
    Attractors have the order of the sources, so there is no permutation to find. At test time they are
    the centroids of k-means (ESPnet's, started from k-means on directions instead of the first units,
    without silent units, which have no talker).
    """

    def __init__(self, options: PeerOptions, stats: np.ndarray | None = None) -> None:
        super().__init__(options, stats, DANSeparator)

    def loss(self, mixture: torch.Tensor, lengths: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        nodes, _, feature, frames = self.units(mixture, lengths)
        spectra = stft(sources, self.features)
        dominant = self.granularity.targets_of(spectra).unflatten(1, nodes.shape)
        # ones and zeros in place of spectra: of equals ESPnet's class takes none, or one that is not there
        references = [(dominant == k).float() for k in range(self.options.num_spk)]
        training = self.separator.training
        # in validation too attractors come from the sources; dropout, a matter of the layers, does not
        self.separator.training = True
        try:
            with self.precision(feature):
                _, _, others = self.separator(feature, frames, {"feature_ref": references})
        finally:
            self.separator.training = training
        masks = torch.stack([others[f"mask_spk{k}"].float() for k in range(1, self.options.num_spk + 1)], dim=1)
        error = (masks * nodes.spectrum.unsqueeze(1) - spectra).abs().square().sum((1, 2, 3))
        return (error / nodes.power.sum(1).clamp_min(1e-12)).mean()

    @torch.no_grad()
    def separate(self, mixture: torch.Tensor) -> torch.Tensor:
        nodes, valid, embedding, labels = self.clusters(mixture)
        heard = embedding[valid].double().cpu().numpy()
        begun = [heard[labels[valid].cpu().numpy() == k] for k in range(self.options.num_spk)]
        if all(len(part) for part in begun):
            attractors, _ = kmeans2(heard, np.stack([part.mean(0) for part in begun]), iter=LLOYD_STEPS, minit="matrix")
        else:
            attractors = np.stack([part.mean(0) if len(part) else heard.mean(0) for part in begun])
        centres = torch.tensor(attractors, dtype=embedding.dtype, device=embedding.device)
        share = torch.softmax(embedding @ centres.T, dim=-1)
        mask = self.granularity.spread(share.transpose(1, 2), nodes.shape)
        return apply_mask(mask, nodes.spectrum, mixture.shape[1], self.features)


class _Waveform(Peer):
    """Systems that give out signals; trained on SI-SNR under the best permutation."""

    @abc.abstractmethod
    def signals(self, mixture: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """``(batch, K, samples)`` float32 of ``mixture (batch, samples)``."""

    def loss(self, mixture: torch.Tensor, lengths: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        return pit_si_snr_loss(self.signals(mixture, lengths), sources, lengths)

    @torch.no_grad()
    def separate(self, mixture: torch.Tensor) -> torch.Tensor:
        made = self.signals(mixture, torch.full((1,), mixture.shape[1], device=mixture.device))
        # SI-SNR leaves the scale open; files have sixteen bits
        return made * (mixture.abs().max() / made.abs().max().clamp_min(1e-12))


class ConvTasNet(_Waveform):
    """Luo and Mesgarani, TASLP 2019: a mask over learnt filters by dilated convolutions."""

    def __init__(self, options: PeerOptions, stats: np.ndarray | None = None) -> None:
        super().__init__(options)
        self.encoder = ConvEncoder(**options.arguments["encoder"])
        self.decoder = ConvDecoder(**options.arguments["encoder"])
        self.separator = TCNSeparator(
            self.encoder.output_dim, num_spk=options.num_spk, **options.arguments["separator"]
        )

    def signals(self, mixture: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        samples, stride = mixture.shape[1], self.encoder.stride
        # every sample lies in as many frames as any other, and no rest is left over
        front = self.encoder.kernel_size - stride
        padded = torch.nn.functional.pad(mixture, (front, front + -samples % stride))
        whole = torch.full((len(mixture),), padded.shape[1], device=mixture.device)
        frames, counts = self.encoder(padded, whole)
        with self.precision(frames):
            _, _, others = self.separator(frames, counts)
        made = []
        for k in range(1, self.options.num_spk + 1):
            signal, _ = self.decoder(frames * others[f"mask_spk{k}"].float(), whole)
            made.append(signal[:, front : front + samples])
        return torch.stack(made, dim=1)


class TFGridNet(_Waveform):
    """Wang et al., TASLP 2023: complex mapping by full- and sub-band LSTMs and attention."""

    def __init__(self, options: PeerOptions, stats: np.ndarray | None = None) -> None:
        super().__init__(options)
        self.separator = TFGridNetV2(
            None, n_srcs=options.num_spk, use_builtin_complex=True, **options.arguments["separator"]
        )
        # complex numbers have no bfloat16
        self.separator.deconv.register_forward_hook(lambda module, arguments, output: output.float())

    def signals(self, mixture: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        with self.precision(mixture):
            made, _, _ = self.separator(mixture, torch.full_like(lengths, mixture.shape[1]))
        return torch.stack(made, dim=1).float()


CLASSES: dict[str, type[Peer]] = {
    "dpcl": DeepClustering, "dan": DeepAttractors, "tcn": ConvTasNet, "tfgridnetv2": TFGridNet,
}


def build_peer(options: PeerOptions, stats: np.ndarray | None = None) -> Peer:
    """A peer with fresh weights.

    Args:
        options: which, and how large.
        stats: Kaldi CMVN statistics ``(2, freq + 1)``, for peers with ``features``.
    """
    return CLASSES[options.system](options, stats)


def parameters(model: torch.nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(value.numel() for value in model.parameters())
