"""Bidirectional LSTMs over frames (Hershey et al., ICASSP 2016)."""

from __future__ import annotations

import torch

from contrasep_lib.embedding.backbones.base import SpectralBackbone, run_recurrent, shorter


class BLSTM(SpectralBackbone):
    """Stacked bidirectional LSTM and a linear layer per frame (Hershey et al., ICASSP 2016).

    Args:
        freq: frequencies.
        dim: dimension of the embeddings.
        layers: LSTM layers.
        width: cells in each direction.
        dropout: between layers.
    """

    def __init__(self, freq: int, dim: int, layers: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.recurrent = torch.nn.LSTM(
            freq, width, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )
        self.dropout = torch.nn.Dropout(dropout)
        self.output = torch.nn.Linear(2 * width, freq * dim)
        self.freq, self.places, self.channels = freq, 1, 2 * width

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, 1, 2 width)``."""
        return self.dropout(run_recurrent(self.recurrent, x, shorter(frames, x.shape[1]))).unsqueeze(2)

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, dim)`` of `hidden`."""
        return self.output(hidden.squeeze(2)).unflatten(-1, (self.freq, -1))

    def frames(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `SpectralBackbone.frames`: by the mean of the weights, without a value for each frequency."""
        weight, bias = (part.unflatten(0, (self.freq, -1)).mean(0) for part in (self.output.weight, self.output.bias))
        return torch.nn.functional.linear(hidden, weight, bias).float()
