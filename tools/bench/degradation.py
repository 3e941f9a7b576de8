#!/usr/bin/env python3
"""How separation and counting fall with noise and with reverberation.

    tools/bench/degradation.py --set DUMP/dev_2mix --noise ESC-10 --mixtures 20 --tsv noise.tsv --plot noise.png

The sources of mixtures drawn from a dumped set are mixed again at each signal-to-noise ratio, and in a room at each RT60.
Across the points a mixture keeps its talkers, gains, recording of noise and places in the room. References are the dry
talkers under noise, the direct path and 50 ms in rooms. Recordings of noise are those for tests
(contrasep_lib/mix/noise/folder.py). Intervals are of 95 % over speakers (contrasep_lib/score/intervals.py).
A killed run goes on behind the mixtures in FILE.each.jsonl that were measured with the same files and options. With --given the number of talkers is not counted; peers of
tools/bench/peers/run.py do not count in any case.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools/bench")]

import numpy as np  # noqa: E402

from contrasep_lib.bin.common import Parser, positive  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

SNRS = (math.inf, 20.0, 10.0, 5.0, 0.0, -5.0)
RT60S = (0.0, 0.2, 0.3, 0.5, 0.8)
COLUMNS = ("si_snri", "si_snr", "count_accuracy")
HEAD = ("model", "set", "axis", "value", "mixtures", *(f"{name}{end}" for name in COLUMNS for end in ("", "_low", "_high")))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, required=True, metavar="DIR", help="dumped set of mixtures of development speakers")
    parser.add_argument("--model", nargs="+", default=["best"], metavar="NAME|DIR", help="as for contrasep separate (best), or exp/TAG of a peer")
    parser.add_argument("--config", metavar="FILE[,FILE..]", help="of models without a config.yaml")
    parser.add_argument("--given", action="store_true", help="the number of talkers is given, and not counted")
    parser.add_argument("--noise", required=True, metavar="DIR|KIND", help="folder of recordings, or white, pink, brown, speech")
    parser.add_argument("--mixtures", type=positive, default=20, metavar="N", help="of the set, drawn (20)")
    parser.add_argument("--tsv", type=Path, required=True, metavar="FILE", help="where the rows are written")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where they are drawn")
    return parser.parse_args(arguments)


def noisy_points(key: str, sources: np.ndarray, noise: str, rate: int) -> Iterator[tuple[str, float, np.ndarray, np.ndarray]]:
    """A mixture at each point: axis, value, mixture ``(samples,)`` and references ``(K, samples)``."""
    from contrasep_lib.mix.level import active_level
    from contrasep_lib.mix.mixer import mix_signals
    from contrasep_lib.mix.noise.draw import COLOURS, draw_noise
    from contrasep_lib.mix.noise.folder import noise_files
    from contrasep_lib.mix.noise.options import NoiseOptions
    from contrasep_lib.mix.noise.render import noise_gain, render_noise
    from contrasep_lib.mix.room_options import RoomOptions
    from contrasep_lib.mix.rooms import Room, draw_room, responses, reverberate, split_response

    def finished(signals: Any, rests: Any = None, make_noise: Any = None) -> tuple[np.ndarray, np.ndarray]:
        mixed = mix_signals(signals, gains, "min", rests, make_noise)
        return mixed.mixture / np.float32(32768), mixed.sources / np.float32(32768)

    seed = zlib.crc32(key.encode())
    levels = np.array([active_level(source, rate)[0] for source in sources])
    gains = list(10 * np.log10(levels / levels.max()))
    signals = sources / np.sqrt(levels)[:, None]
    if noise in COLOURS:
        options, files = NoiseOptions((noise,)), []  # type: ignore[arg-type]
    else:
        options, files = NoiseOptions(("folder",), noise), noise_files(noise, "tt")
    drawn = draw_noise(options, files, {}, (), np.random.default_rng([seed, 1]))
    rendered, _ = render_noise(drawn, signals.shape[1], rate, options.folder, list(signals), lambda name: np.zeros(0))
    for snr in SNRS:
        if snr == math.inf:
            yield "snr", snr, *finished(signals)
        else:
            yield "snr", snr, *finished(signals, None, lambda samples, snr=snr: rendered * noise_gain(gains, snr))
    places = draw_room(RoomOptions((0.2, 0.2)), len(sources), np.random.default_rng([seed, 2]))
    for rt60 in RT60S:
        if not rt60:
            yield "rt60", rt60, *finished(signals)
            continue
        made = responses(Room(places.size, rt60, places.microphone, places.talkers), rate)
        kept = split_response(made, rate, "early")
        early = [reverberate(signal, response) for signal, response in zip(signals, kept)]
        late = [reverberate(signal, response) for signal, response in zip(signals, made - kept)]
        scales = [1 / math.sqrt(active_level(signal, rate)[0]) for signal in early]
        yield "rt60", rt60, *finished([x * s for x, s in zip(early, scales)], [x * s for x, s in zip(late, scales)])


# key, mixture and number of talkers, or None -> outputs, (talkers, samples)
Separate = Callable[[str, np.ndarray, int | None], np.ndarray]


def loaded(model: str, config: str | None) -> tuple[Separate, int, bool]:
    """How a model separates, its sampling rate, and whether it counts."""
    from contrasep_lib.separate.shipped import load_separator

    if (Path(model) / "model.pth").is_file():
        import torch
        from peers.training import load_peer

        peer, said = load_peer(Path(model) / "model.pth")
        return lambda key, mixture, count: peer.separate(torch.from_numpy(mixture)[None])[0].numpy(), said["options"]["mix"]["rate"], False
    found = load_separator(model, config=config.split(",") if config else None)
    return lambda key, mixture, count: found.separator.separate(key, mixture, count).outputs, found.rate, True


def digest_of(model: str, config: str | None) -> str:
    """What tells the files that `loaded` reads from others: weights, configuration, what stage 4 fitted."""
    from contrasep_lib.separate.shipped import CONFIG, MODEL, MODULARITY, folder_of

    if (Path(model) / "model.pth").is_file():
        paths = [Path(model) / "model.pth"]
    else:
        folder = folder_of(model)
        paths = [folder / MODEL, *(map(Path, config.split(",")) if config else [folder / CONFIG])]
        paths += sorted(path for path in (folder / MODULARITY).glob("*") if path.is_file())
    content = hashlib.sha256()
    for path in paths:
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:16]


def read_measured(path: Path) -> list[Any]:
    """The lines of FILE.each.jsonl; one that a killed run left unfinished goes.

    Raises:
        ContrasepError: lines of something else.
    """
    from contrasep_lib.io.atomic import write_text

    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        # the next line shall not be written behind it
        write_text(path, whole)
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
        return [(key, name, points) for key, name, *points in lines]
    except (ValueError, TypeError) as error:
        raise ContrasepError(f"{path}: not lines of this program ({error}); delete it, or name another --tsv") from None


def measure(separate: Separate, key: str, mixture: np.ndarray, sources: np.ndarray, counts: bool) -> tuple[float, float, float]:
    """Mean SI-SNR improvement and SI-SNR of the outputs, count given, dB; whether the count is right, NaN where none is made."""
    from contrasep_lib.score.ratios import improvements, si_snr

    mixture = mixture.astype(np.float32)
    right, outputs = math.nan, None
    if counts:
        outputs = separate(key, mixture, None)
        right = float(len(outputs) == len(sources))
    if outputs is None or not right:
        outputs = separate(key, mixture, len(sources))
    gained = improvements(outputs.astype(np.float64), mixture.astype(np.float64), sources.astype(np.float64))
    before = si_snr(np.broadcast_to(mixture.astype(np.float64), sources.shape), sources.astype(np.float64))
    return float(gained.mean()), float((gained + before).mean()), right


def rows_of(model: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each point."""
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.score.intervals import speaker_interval

    separate, rate, counts = loaded(model, args.config)
    counts, dump = counts and not args.given, DumpSet(args.set)
    dump.require_rate(rate)
    if dump.num_spk < 2:
        raise ContrasepError(f"{args.set}: expected a dumped set of mixtures of two talkers and more")
    # fewer mixtures are the first of more
    keys = [dump.keys[number] for number in np.random.default_rng(0).permutation(len(dump.keys))[: args.mixtures]]
    values: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    each = args.tsv.with_suffix(".each.jsonl")
    of = [model, str(args.set), args.noise, "counted" if counts else "given", args.config, digest_of(model, args.config)]
    ready = {name: points for known, name, points in read_measured(each) if known == of}
    for key in keys:
        if key in ready:
            for axis, value, *measured in ready[key]:
                values.setdefault((axis, value), []).append(tuple(measured))
            continue
        clean = None
        for axis, value, mixture, sources in noisy_points(key, dump.sources(key).astype(np.float64), args.noise, rate):
            plain = value in (math.inf, 0.0) and (axis == "rt60" or value == math.inf)
            if not plain or clean is None:
                measured = measure(separate, key, mixture, sources, counts)
                clean = measured if plain else clean
            values.setdefault((axis, value), []).append(clean if plain else measured)  # type: ignore[arg-type]
        with each.open("a") as file:
            print(json.dumps([of, key, *[[*point, *found[-1]] for point, found in values.items()]]), file=file)
        print(f"{model}: {key}", file=sys.stderr, flush=True)
    rows = []
    speakers = [dump.speakers[key] for key in keys]
    for (axis, value), found in values.items():
        table = np.array(found)
        row = {"model": model, "set": f"{args.set.parent.name}/{args.set.name}", "axis": axis, "value": value, "mixtures": len(table)}
        for name, column in zip(COLUMNS, table.T):
            bounds = (0.0, 1.0) if name == "count_accuracy" else (-math.inf, math.inf)
            limits = speaker_interval(column, speakers, bounds=bounds)[0] if np.isfinite(column).all() else None
            low, high = limits or (math.nan, math.nan)
            row |= {name: column.mean(), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Curves of all models: SI-SNRi and output SI-SNR, and count accuracy, against both axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6), sharey="row", squeeze=False)
    for column, (axis, label) in enumerate((("snr", "SNR / dB"), ("rt60", "RT60 / s"))):
        for model in dict.fromkeys(row["model"] for row in rows):
            part = [row for row in rows if row["axis"] == axis and row["model"] == model]
            places = np.arange(len(part))
            for name in COLUMNS:
                place = axes[int(name == "count_accuracy"), column]
                mean, low, high = (np.array([row[name + end] for row in part]) for end in ("", "_low", "_high"))
                line, = place.plot(places, mean, marker="o", label=f"{model}: {name}")
                place.fill_between(places, low, high, alpha=0.15, color=line.get_color())
                place.set_xticks(places, ["clean" if math.isinf(row["value"]) else f"{row['value']:g}" for row in part])
        axes[1, column].set_xlabel(label)
        axes[1, column].set_ylim(0, 1.05)
    axes[0, 0].set_ylabel("dB")
    axes[1, 0].set_ylabel("count accuracy")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def run(args: argparse.Namespace) -> None:
    """Measure, write the rows, draw them."""
    import torch

    from contrasep_lib.io.atomic import write_text

    torch.set_num_threads(1)
    for path in filter(None, (args.tsv, args.plot)):
        path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for model in args.model for row in rows_of(model, args)]
    lines = ["\t".join(HEAD)]
    for row in rows:
        words = [f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in HEAD]
        lines += ["\t".join(words)]
    write_text(args.tsv, "\n".join(lines) + "\n")
    if args.plot:
        draw(rows, args.plot)


def main(arguments: list[str] | None = None) -> None:
    """Entry point; errors of the user in one line."""
    try:
        run(parse(arguments))
    except ContrasepError as error:
        sys.exit(f"degradation.py: {error}")


if __name__ == "__main__":
    main()
