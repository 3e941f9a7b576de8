"""Simulated rooms: impulse responses by the image source method (Allen & Berkley 1979) of pyroomacoustics.

The walls' absorption is not taken from Sabine's formula, which the image source method does not keep, but searched so
that the energy decay of the images themselves (Schroeder 1965) falls in the time asked for.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

import numpy as np

from contrasep_lib.mix.room_options import RoomOptions

SOUND = 343.0
EARLY_SECONDS = {"early": 0.05, "direct": 0.0025}
# metres between a talker or the microphone and a wall, and between a talker and the microphone
WALL, NEAREST = 0.5, 0.7
TRIES = 1000
# sample of the direct sound in a response: half of pyroomacoustics' interpolation filter, rounded up
DIRECT = 41
# images reach to where the decay has fallen by this share of 60 dB
REACH = 0.6
MOST_ORDER = 150

Point = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Room:
    """The room of one mixture: size and places in metres, to the millimetre, ``rt60`` in seconds."""

    size: Point
    rt60: float
    microphone: Point
    talkers: tuple[Point, ...]

    def fields(self) -> list[str]:
        """Words of a line of a list."""
        return [
            f"room={_text(self.size)}", f"rt60={self.rt60:g}", f"mic={_text(self.microphone)}",
            f"talkers={'/'.join(map(_text, self.talkers))}",
        ]


def _text(point: Point) -> str:
    return ",".join(f"{value:g}" for value in point)


def draw_room(options: RoomOptions, num_spk: int, rng: np.random.Generator) -> Room:
    """Draw a room, and places 0.5 m from its walls; talkers are 0.7 m and more from the microphone.

    Args:
        options: with ``rt60``.
        num_spk: talkers.
    """
    assert options.rt60 is not None
    size = np.round([rng.uniform(*extent) for extent in (options.length, options.width, options.height)], 3)

    def place() -> np.ndarray:
        return np.round(rng.uniform(WALL, size - WALL), 3)

    microphone = place()
    talkers = []
    for _ in range(num_spk):
        spot = place()
        for _ in range(TRIES):
            if np.linalg.norm(spot - microphone) >= NEAREST:
                break
            spot = place()
        talkers.append(_point(spot))
    return Room(_point(size), round(float(rng.uniform(*options.rt60)), 4), _point(microphone), tuple(talkers))


def _point(values: np.ndarray) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z


def parse_room(words: Mapping[str, str], num_spk: int) -> Room:
    """A room of the words behind the talkers of a line.

    Raises:
        ValueError: what is wrong, in words that follow the number of the line.
    """
    if "rt60" not in words:
        raise ValueError("a room without rt60=SECONDS")
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", words["rt60"]) or not 0.1 <= float(words["rt60"]) <= 3:
        raise ValueError("expected rt60=SECONDS from 0.1 to 3")
    points = []
    for text in [words.get("room", ""), words.get("mic", ""), *words.get("talkers", "").split("/")]:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?(,[0-9]+(\.[0-9]+)?){2}", text):
            raise ValueError("expected room=, mic= and talkers= with places x,y,z in metres")
        points.append(_point(np.array(text.split(","), float)))
    size, *places = points
    if len(places) != num_spk + 1:
        raise ValueError(f"expected places of {num_spk} talkers in the room, got {len(places) - 1}")
    within = all(0 < x < extent for place in places for x, extent in zip(place, size))
    if not within or not all(2 <= extent <= 50 for extent in size):
        raise ValueError("expected a room of 2 to 50 m, and microphone and talkers within it")
    if places[0] in places[1:]:
        raise ValueError("expected talkers beside the microphone, got one at its place")
    return Room(size, float(words["rt60"]), places[0], tuple(places[1:]))


def responses(room: Room, rate: int) -> np.ndarray:
    """Impulse responses from the talkers to the microphone.

    Each begins when its direct sound arrives, so that all are aligned with the dry talkers but for half of the
    interpolation filter, and has a direct path of amplitude 1.

    Returns:
        ``(talkers, taps)`` float64, of a length by ``rt60``.

    Raises:
        ImportError: without pyroomacoustics, see `contrasep_lib.extras`.
    """
    import pyroomacoustics

    # sums in threads depend on their number, and responses must not
    pyroomacoustics.constants.set("num_threads", 1)
    pyroomacoustics.constants.set("rir_hpf_enable", False)
    extents = np.array(room.size)
    taps = math.ceil(room.rt60 * rate)
    order = min(MOST_ORDER, math.ceil(SOUND * REACH * room.rt60 * math.sqrt(np.sum(extents**-2.0))))
    made = np.zeros((len(room.talkers), taps))
    for row, talker in zip(made, room.talkers):
        box = pyroomacoustics.ShoeBox(
            room.size, fs=rate, materials=pyroomacoustics.Material(0.5), max_order=order, air_absorption=False
        )
        box.set_sound_speed(SOUND)
        box.add_source(talker)
        box.add_microphone(room.microphone)
        box.image_source_model()
        source = box.sources[0]
        distance = np.linalg.norm(source.images - np.array(room.microphone)[:, None], axis=0)
        reflection = _reflection(distance, source.orders, room.rt60, rate)
        source.damping = (reflection**source.orders)[None].astype(np.float32)
        box.compute_rir()
        direct = float(distance.min())
        response = np.asarray(box.rir[0][0], np.float64)[math.floor(direct / SOUND * rate) :][:taps] * direct
        row[: len(response)] = response
    return made


def _reflection(distance: np.ndarray, orders: np.ndarray, rt60: float, rate: int) -> float:
    """Amplitude factor of a reflection with which the sum of the images, each at its nearest sample, decays in time."""
    order_count = int(orders.max()) + 1
    steps = np.rint(distance / SOUND * rate).astype(np.int64)
    # amplitude by sample and number of reflections
    cells = np.bincount(steps * order_count + orders, 1 / distance, (int(steps.max()) + 1) * order_count)
    cells = cells.reshape(-1, order_count)
    low, high = 0.0, 0.9999
    for _ in range(20):
        middle = (low + high) / 2
        if decay_time(np.square(cells @ middle ** np.arange(order_count)), rate) < rt60:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def decay_time(energy: np.ndarray, rate: float) -> float:
    """Time in which energy falls by 60 dB, by a line through -5 to -25 dB of its backward integral (Schroeder 1965).

    Args:
        energy: ``(steps,)``, squares of an impulse response.
        rate: steps in a second.

    Returns:
        seconds; 0 where there is no such decay.
    """
    left = np.cumsum(energy[::-1])[::-1]
    with np.errstate(divide="ignore"):
        level = 10 * np.log10(left / left[0])
    part = np.flatnonzero((level <= -5) & (level >= -25))
    if len(part) < 3:
        return 0.0
    slope = np.polyfit(part / rate, level[part], 1)[0]
    return float(-60 / slope) if slope < 0 else 0.0


def split_response(response: np.ndarray, rate: int, reference: str) -> np.ndarray:
    """The part of impulse responses ``(.., taps)`` that makes the reference, zeros behind it; see `RoomOptions`."""
    if reference == "reverberant":
        return response
    kept = response.copy()
    kept[..., DIRECT + round(EARLY_SECONDS[reference] * rate) + 1 :] = 0
    return kept


def reverberate(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """A signal ``(samples,)`` in a room, by FFT, ``(samples,)``: what sounds after its end is cut."""
    from scipy.signal import fftconvolve

    return fftconvolve(signal, response)[: len(signal)]
