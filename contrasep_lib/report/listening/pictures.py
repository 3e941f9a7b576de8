"""Pictures of a page: spectrograms, and communities in colour, as WebP.

Columns are frames whose middle lies within the signal, so that a picture spans the signal's time to within half a hop;
of long signals several frames make one column, by their loudest.
"""

from __future__ import annotations

import io

import numpy as np

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.report.listening.content import Communities
from contrasep_lib.report.plots import RANGE_DB, SILENT_COLOUR, TALKER_COLOURS, level_db

MOST_COLUMNS = 1200
# shades of each colour of the communities
SHADES = 12
# of the lossy coding; communities, whose edges it would blur, are coded without loss
_QUALITY = 70
# of the shades, the darkest; and of silent units
_DARKEST, _SILENT = 0.3, 0.2


def levels(signal: np.ndarray, features: FeatureOptions) -> np.ndarray:
    """`level_db` of the frames whose middle lies within the signal, ``(frames, win / 2 + 1)``."""
    return within(level_db(signal, features), len(signal), features)


def within(frames: np.ndarray, samples: int, features: FeatureOptions) -> np.ndarray:
    """The frames whose middle lies within a signal.

    Args:
        frames: one a row, as `contrasep_lib.nodes.stft.stft` has them: the middle of frame i lies
            ``i * hop - (win - hop) + win / 2`` samples into the signal.
        samples: of the signal.
        features: framing.
    """
    before = features.win // 2 - features.hop
    first = -(-before // features.hop)
    last = (samples - 1 + before) // features.hop
    return frames[max(first, 0) : last + 1]


def spectrogram(level: np.ndarray, top: float) -> bytes:
    """A spectrogram in the colours of cividis, from ``top - RANGE_DB`` to ``top`` dB.

    Args:
        level: `levels`, ``(frames, freq)``.
        top: of the mixture, so that all lanes have one scale.
    """
    from matplotlib import colormaps

    _, pooled = _pooled(level, level)
    return _webp(colormaps["cividis"](_share(pooled, top))[..., :3], lossless=False)


def coloured(found: Communities, level: np.ndarray, samples: int, top: float) -> bytes:
    """Communities in their colours, the lighter the louder the mixture is there.

    Args:
        found: of the mixture.
        level: of the mixture in the framing of the communities, `levels`.
        samples: of the mixture.
        top: as in `spectrogram`.
    """
    numbers = within(found.colours, samples, found.features)[: len(level)]
    level = level[: len(numbers)]
    numbers, level = _pooled(np.broadcast_to(numbers, level.shape), level)
    shade = _DARKEST + (1 - _DARKEST) * np.round((SHADES - 1) * _share(level, top)) / (SHADES - 1)
    # the last entry, number -1, is that of silent units
    palette = np.array([*map(_rgb, TALKER_COLOURS), _rgb(SILENT_COLOUR)])
    entry = np.where(numbers < 0, len(TALKER_COLOURS), numbers % len(TALKER_COLOURS))
    return _webp(palette[entry] * np.where(numbers < 0, _SILENT, shade)[..., None], lossless=True)


def _share(level: np.ndarray, top: float) -> np.ndarray:
    return np.clip((level - top + RANGE_DB) / RANGE_DB, 0, 1)


def _pooled(value: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every few frames the value where the level is largest, so that few columns remain; and that level."""
    step = -(-len(level) // MOST_COLUMNS)
    if step == 1:
        return value, level
    whole = len(level) // step * step
    blocks = level[:whole].reshape(-1, step, level.shape[1])
    loudest = blocks.argmax(axis=1)[:, None]
    values = value[:whole].reshape(blocks.shape)
    return np.take_along_axis(values, loudest, axis=1)[:, 0], blocks.max(axis=1)


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def _webp(rgb: np.ndarray, lossless: bool) -> bytes:
    """``(frames, freq, 3)`` in [0, 1] as a picture, time to the right and frequency upwards."""
    from PIL import Image

    pixels = np.round(255 * rgb.transpose(1, 0, 2)[::-1]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "WEBP", lossless=lossless, quality=_QUALITY, method=4)
    return file.getvalue()
