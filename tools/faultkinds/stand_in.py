"""A stand-in for the command ``contrasep``: writes small files by the rules of the real programs, in no time.

What a file holds depends on its name and on the inputs' contents, so that a run that missed something ends with other
results. As with the real programs files appear when whole, and what is there is kept.
"""

import hashlib
import os
import sys
import time
from pathlib import Path

SECONDS = 0.01  # for each file; long enough for a signal to come between
KEYS = ("a-b", "c-d", "e-f", "g-h")


def options_of(words):
    """``--name value ..`` -> name -> values."""
    found, name = {}, None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found.setdefault(name, [])
            if equals:
                found[name].append(value)
        elif name:
            found[name].append(word)
    return found


def write(path, *inputs):
    """A file of its own, unless it is there."""
    path = Path(path)
    if path.is_file():
        return
    time.sleep(SECONDS)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(path.name.encode())
    for file in inputs:
        digest.update(Path(file).read_bytes())
    lines = [f"{key} {digest.hexdigest()}" for key in KEYS]
    temporary = path.with_name(f".contrasep-{os.getpid()}{path.suffix}")
    temporary.write_text("\n".join(lines) + "\n")
    os.replace(temporary, path)


def part_of(options):
    """The utterances of ``--part J/N``."""
    job, jobs = map(int, options.get("part", ["1/1"])[0].split("/"))
    return list(enumerate(KEYS, 1))[job - 1 :: jobs]


def outputs(command, options):
    """What a command writes: ``(path, inputs)`` one by one."""
    out = [Path(folder) for folder in options.get("out", [])]
    if command == "prepare-corpus":
        for name in ("tr", "cv", "tt"):
            yield from ((out[0] / "wav" / f"{name}-{key}.wav", ()) for key in KEYS)
            yield from ((out[0] / name / table, ()) for table in ("wav.scp", "utt2spk"))
    elif command == "make-lists":
        yield from ((out[0] / f"{name}.txt", ()) for name in options["sets"])
    elif command == "mix":
        for place, listed in zip(out, options["list"]):
            yield from ((place / f"{key}.wav", (listed,)) for _, key in part_of(options))
    elif command == "prepare-data":
        listed = options.get("list", [])
        for number, place in enumerate(out):
            yield place / "wav.scp", listed[number : number + 1]
            yield place / "utt2spk", ()
    elif command == "dump":
        for place, data in zip(out, options["data"]):
            arks = [(place / f"wav.{number}.ark", (Path(data) / "wav.scp",)) for number, _ in part_of(options)]
            yield from [(place / "wav.scp", [ark for ark, _ in arks])] if "merge" in options else arks
    elif command == "train":
        dump = Path(options["dump"][0])
        inputs = [dump / word.rpartition("=")[2] / "wav.1.ark" for word in options["train-sets"][0].split(",")]
        yield from ((out[0] / f"{epoch}epoch.pth", inputs) for epoch in range(1, 4))
        yield out[0] / "model.pth", [*inputs, *options.get("init-param", [])]
    elif command == "train-modularity":
        yield out[0] / "network.pth", options["model"]
    elif command in ("separate-set", "score"):
        inputs = [Path(options["dump"][0]) / "wav.scp", *options.get("model", [])]
        if command == "score":
            inputs += [Path(options["separated"][0]) / "wavs" / f"{key}.wav" for key in KEYS]
        if "merge" not in options:
            yield from ((out[0] / "wavs" / f"{key}.wav", inputs) for _, key in part_of(options))
        else:
            yield out[0] / "spk1.scp", [out[0] / "wavs" / f"{key}.wav" for key in KEYS]
    elif command == "report":
        exp = Path(options["exp"][0])
        for name in ("results.json", "RESULTS.md"):
            (exp / name).unlink(missing_ok=True)
            yield exp / name, sorted(exp.glob("score_*/*.scp"))


def main(words):
    command = words[0]
    if command == "resolve":
        model = "separate.separator=oracle_ibm" not in words
        print((Path(__file__).parent / f"resolved.{'model' if model else 'oracle'}").read_text(), end="")
        return
    for path, inputs in outputs(command, options_of(words[1:])):
        write(path, *inputs)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"contrasep {sys.argv[1]}: {error.filename or 'file'}: {error.strerror}; make room there, then run the same command again")
