#!/usr/bin/env python3
"""What embeddings of frames tell about speakers, side by side: trained models, the same untrained, and raw features.

    tools/bench/representations.py --model exp/A/pretrain/model.pth exp/B/pretrain/model.pth [--untrained] \\
        --raw spectrum mfcc --dump dump/dev_2mix [--mixtures 100] [--tsv FILE]

Of dumped mixtures, their number of speakers given, over frames that are not silent; measures are those of tools/bench/frames.py:

    nearest, probe   share of frames whose nearest frame has their speaker; that of a linear probe within the mixture
    k-means          share of frames on the right side, and SI-SNR improvement of the binary masks
    network          the same by the modularity network on normalised modularity of the kernel graph. It is refined on each mixture,
                     and not trained over mixtures before
    bound            SI-SNR improvement of the masks of the truth

Raw features:

    spectrum, mfcc   backbones of these names, mfcc with 19 coefficients
    random           the paper's six convolutions, 64 channels, with the weights that a training begins with
    resemblyzer      a speaker encoder that others trained, frozen (Wan et al. 2018; pip install --no-deps resemblyzer, which brings its
                     weights; it imports librosa and webrtcvad): its embedding of --window seconds around each frame. It was trained on
                     recordings at 16 kHz of thousands of speakers and hears ours with the upper half of its bands empty

The table states the parameters of each and the minutes of training that its file tells. Means over mixtures, with 95 % intervals over
speakers; then differences to the first row, mixture by mixture.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from frames import Clustering, measures, model_at  # noqa: E402

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config import Range  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

Window = Annotated[float, Range(0.05, 10)]
RAW = {
    "spectrum": {"backbone": {"name": "spectrum"}, "embedding_dim": 129},
    "mfcc": {"backbone": {"name": "mfcc"}, "embedding_dim": 19},
    "random": {"backbone": {"name": "encoder", "layers": 6, "width": 64}, "embedding_dim": 32},
}
# name of a measure in tools/bench/frames.py -> column
COLUMNS = {
    "nearest neighbour, %": "nearest, %", "linear probe, %": "probe, %", "k-means, %": "k-means, %", "k-means, dB": "k-means, dB",
    "kernel, %": "network, %", "kernel, dB": "network, dB", "true dominance, dB": "bound, dB",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Representation:
    """One row of the table.

    Attributes:
        name: of the row.
        model: that analyses mixtures.
        parameters: that learn, or were learned by others.
        minutes: of training, as the model's file tells; 0 for none, None where it is not known.
    """

    name: str
    model: Any
    parameters: int
    minutes: float | None


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", default=[], metavar="FILE", help="model.pth, with frames for nodes")
    parser.add_argument("--untrained", action="store_true", help="each kind of model also with the weights that a training begins with")
    parser.add_argument("--raw", nargs="+", default=[], choices=[*RAW, "resemblyzer"], metavar="NAME", help="raw features")
    parser.add_argument("--dump", type=Path, nargs="+", required=True, metavar="DIR", help="dumped sets of mixtures")
    parser.add_argument("--mixtures", type=positive, default=100, metavar="N", help="of each set, evenly spread (100)")
    parser.add_argument("--nodes", type=positive, default=2000, metavar="N", help="drawn for neighbours and probe (2000)")
    parser.add_argument("--window", type=within(Window), default=0.4, metavar="S", help="of the speaker encoder, seconds (0.4)")
    parser.add_argument("--tsv", type=Path, metavar="FILE", help="where the values of every mixture go")
    args = parser.parse_args(arguments)
    if not args.model and not args.raw:
        parser.error("--model, --raw: expected something to compare")
    # what tools/bench/frames.py reads beside
    return argparse.Namespace(**vars(args), apart=None, folds=5, graphs=["kernel"], quality="normalised", solver="network")


# ------------------------------------------------------------------ representations


class SpeakerEncoder:
    """Frames of mixtures, embedded by the speaker encoder of the package resemblyzer; as `SeparationModel` where it is used.

    Args:
        window: seconds around a frame that the encoder hears.

    Raises:
        ContrasepError: the package, or what it imports, is not installed.
    """

    def __init__(self, window: float) -> None:
        try:
            from resemblyzer import VoiceEncoder
            from resemblyzer.audio import wav_to_mel_spectrogram
        except ImportError as error:
            raise ContrasepError(
                f"--raw resemblyzer: {error.name} is not installed; pip install --no-deps resemblyzer webrtcvad-wheels"
            ) from None
        self.encoder, self.mel = VoiceEncoder("cpu", verbose=False).eval(), wav_to_mel_spectrogram
        self.base = model_of({**RAW["spectrum"]})
        self.features, self.granularity = self.base.features, self.base.granularity
        self.around = max(round(window * 100) // 2, 1)

    def parameters(self) -> Iterator[torch.Tensor]:
        """Of the encoder."""
        return self.encoder.parameters()

    def analyse(self, mixture: torch.Tensor) -> tuple[Any, Any]:
        """See `contrasep_lib.embedding.embedder.Embedder.analyse`; of one mixture, ``(1, samples)``."""
        from scipy.signal import resample_poly

        nodes, seen = self.base.analyse(mixture)
        wide = resample_poly(mixture[0].double().numpy(), 2, 1).astype(np.float32)
        mels = torch.from_numpy(self.mel(wide))
        # the middle of each frame, in hundredths of a second
        middle = (torch.arange(nodes.shape[0]) * self.features.hop + self.features.hop - self.features.win / 2) / 80
        index = middle.round().long().unsqueeze(1) + torch.arange(-self.around, self.around)
        windows = mels[index.clamp(0, len(mels) - 1)]
        z = torch.cat([self.encoder(part) for part in windows.split(256)]).unsqueeze(0)
        return dataclasses.replace(nodes, z=torch.nn.functional.normalize(z, dim=-1)), seen


def model_of(values: dict[str, Any]) -> Any:
    """A model of frames that has not been trained."""
    from contrasep_lib.config import build
    from contrasep_lib.models.options import ModelOptions
    from contrasep_lib.models.separation import SeparationModel
    from contrasep_lib.nodes.options import FeatureOptions

    torch.manual_seed(0)
    tree = {"granularity": "frame", "node_weight": "uniform", **values}
    return SeparationModel(build(ModelOptions, tree, "model"), FeatureOptions()).eval()


def represented(args: argparse.Namespace) -> Iterator[Representation]:
    """All rows, one at a time."""
    from contrasep_lib.models.checkpoint import read_model
    from contrasep_lib.train.record import spent_of

    seen = set()
    for path in args.model:
        content = read_model(path)
        if content["model"].granularity != "frame":
            raise ContrasepError(f"{path}: expected a model of frames, got granularity '{content['model'].granularity}'")
        minutes = [part["minutes"] for part in spent_of(content["training"])]
        known = None if None in minutes else sum(minutes)
        yield _row(name_of(path), model_at(path, False, False), known)
        kind = str(content["model"].trained())
        if args.untrained and kind not in seen:
            seen.add(kind)
            yield _row(f"{content['model'].backbone.name}, untrained", model_at(path, False, True), 0.0)
    for name in args.raw:
        if name == "resemblyzer":
            yield _row(name, SpeakerEncoder(args.window), None)
        else:
            yield _row(name, model_of(RAW[name]), 0.0)


def name_of(path: Path) -> str:
    """The tag of ``exp/TAG/PHASE/model.pth``; otherwise the name of the folder."""
    folder = path.resolve().parent
    return folder.parent.name if folder.name in ("pretrain", "finetune") else folder.name


def _row(name: str, model: Any, minutes: float | None) -> Representation:
    return Representation(name, model, sum(part.numel() for part in model.parameters()), minutes)


# ------------------------------------------------------------------ tables


def judged(model: Any, args: argparse.Namespace, by: Clustering) -> Iterator[tuple[str, str, tuple[str, ...], list[float]]]:
    """Set, mixture, speakers and the values of `COLUMNS` of each mixture."""
    from contrasep_lib.io.dumpset import DumpSet

    for folder in args.dump:
        dump = DumpSet(folder)
        # sorted by speakers: the first ones would be of few
        chosen = np.linspace(0, len(dump.keys) - 1, min(args.mixtures, len(dump.keys))).round().astype(int)
        for key in (dump.keys[place] for place in chosen):
            with torch.inference_mode():
                found = measures(model, dump.mixture(key), dump.sources(key), zlib.crc32(key.encode()), args, by)
            yield folder.name, key, dump.speakers[key], [found[name] for name in COLUMNS]


def cell(values: np.ndarray, speakers: list[tuple[str, ...]], name: str, sign: str = "") -> str:
    """Mean and 95 % interval over speakers, where there are enough of them."""
    from contrasep_lib.score.intervals import speaker_interval

    digits = 2 if name.endswith("dB") else 1
    mean = f"{values.mean():{sign}.{digits}f}"
    limits = speaker_interval(values[:, None], speakers)[0] if np.isfinite(values).all() else None
    return mean if limits is None else f"{mean} [{limits[0]:{sign}.{digits}f}, {limits[1]:{sign}.{digits}f}]"


def run(args: argparse.Namespace) -> None:
    """Entry point."""
    from contrasep_lib.io.atomic import write_text

    by, text = Clustering(args), io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(["representation", "parameters", "minutes", "set", "mixture", "speakers", *COLUMNS.values()])
    columns, first = list(COLUMNS.values()), None
    differences = []
    print("| | parameters | minutes |", " | ".join(columns), "|\n| --- |" + " ---: |" * (len(columns) + 2))
    for row in represented(args):
        found = list(judged(row.model, args, by))
        if not found:
            raise ContrasepError(f"{args.dump[0]}: expected mixtures, got none")
        values, speakers = np.array([part[3] for part in found]), [part[2] for part in found]
        minutes = "" if row.minutes is None else f"{row.minutes:g}"
        for name, key, of, numbers in found:
            table.writerow([row.name, row.parameters, minutes, name, key, " ".join(of), *(f"{number:.3f}" for number in numbers)])
        cells = [cell(values[:, place], speakers, name) for place, name in enumerate(columns)]
        print(f"| {row.name} | {row.parameters:,} | {minutes or '-'} |", " | ".join(cells), "|", flush=True)
        if first is None:
            first = values
        else:
            away = values - first
            cells = [cell(away[:, place], speakers, name, "+") for place, name in enumerate(columns[:-1])]
            differences.append(f"| {row.name} | {' | '.join(cells)} |")
        if args.tsv:
            write_text(args.tsv, text.getvalue())
    if differences:
        print("\nDifferences to the first row:\n\n| |", " | ".join(columns[:-1]), "|\n| --- |" + " ---: |" * (len(columns) - 1))
        print(*differences, sep="\n")


def main() -> None:
    """Print the tables; errors of the user in one line."""
    try:
        run(parse())
    except ContrasepError as error:
        sys.exit(f"representations.py: {error}")


if __name__ == "__main__":
    main()
