"""Putting a page together: audio and pictures within a size, text escaped, nothing from outside."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError, one_line
from contrasep_lib.io.atomic import write_text
from contrasep_lib.report.listening.audio import coded_rate, opus
from contrasep_lib.report.listening.content import Content, Scene
from contrasep_lib.report.listening.evidence import HEIGHT, charts_of
from contrasep_lib.report.listening.pictures import coloured, levels, spectrogram
from contrasep_lib.report.plots import TALKER_COLOURS

ASSETS = Path(__file__).resolve().parents[1] / "assets"
SCRIPTS = ("player.js", "tables.js", "page.js")
# bytes
MOST_BYTES = 20_000_000
MIXTURES = 20
# of all tables together; of more mixtures the worst stand there
MOST_ROWS = 1000
# share of the mixture's units that the brightest shade leaves below it
_BRIGHTEST = 0.995
# steps of shading of cells, and of an axis of time at most
_SHADES, _TICKS = 10, 10


def write_page(path: str | os.PathLike, content: Content, most_bytes: int = MOST_BYTES) -> str:
    """Write a page; the same content gives the same bytes.

    Args:
        path: html file.
        content: what it shows.
        most_bytes: of the file; mixtures that would go beyond it are left out, the least telling first.

    Returns:
        what it holds, in words.

    Raises:
        ContrasepError: not even one mixture fits.
        ImportError: a package of the extras ``report`` or ``media`` is not installed.
    """
    # before any audio is read, as a missing package ends it
    template = _environment().get_template("page.html")
    scenes: list[tuple[int, str]] = []
    frame = template.render(**_values(content, [], 0))
    size = len(frame.encode())
    left_out = 0
    for place, choice in enumerate(content.choices):
        made = scene_html(place, choice.name, choice.load())
        if size + len(made.encode()) > most_bytes:
            left_out = len(content.choices) - place
            break
        scenes.append((place, made))
        size += len(made.encode())
    if content.choices and not scenes:
        raise ContrasepError(f"{path}: not one mixture fits into {most_bytes / 1e6:.3g} MB; allow more by --megabytes")
    write_text(path, template.render(**_values(content, scenes, left_out)))
    said = f"{len(scenes)} of {len(content.mixtures.rows)} mixtures to hear"
    return f"{said}, {Path(path).stat().st_size / 1e6:.1f} MB"


def scene_html(place: int, name: str, scene: Scene) -> str:
    """A mixture of a page: lanes with audio and pictures, communities, evidence of the count."""
    mixture = scene.tracks[0].samples
    level = levels(mixture, scene.features)
    # few units are louder; by the loudest of all most speech would be dark
    top = float(np.quantile(level, _BRIGHTEST))
    lanes = []
    for number, track in enumerate(scene.tracks):
        lanes.append({
            "track": track, "number": number, "colour": _colour(track.colour),
            "picture": _data(spectrogram(levels(track.samples, scene.features) if number else level, top)),
            "audio": base64.b64encode(opus(track.samples, scene.rate)).decode(),
        })
    framed = {scene.features: level}
    maps = []
    for found in scene.communities:
        if found.features not in framed:
            framed[found.features] = levels(mixture, found.features)
        picture = coloured(found, framed[found.features], len(mixture), top)
        key = [(_colour(number), words) for number, words in found.names.items()]
        maps.append({"found": found, "picture": _data(picture), "key": key})
    seconds = len(mixture) / scene.rate
    return _environment().get_template("scene.html").render(
        place=place, name=name, scene=scene, lanes=lanes, maps=maps, seconds=seconds, ticks=_ticks(seconds),
        khz=scene.rate / 2000, height=HEIGHT, rate=coded_rate(scene.rate),
        evidence=[(each, charts_of(each)) for each in scene.evidence],
    )


def _environment() -> Any:
    """Templates of the package, in which every value is escaped."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )


def _values(content: Content, scenes: list[tuple[int, str]], left_out: int) -> dict[str, Any]:
    """What the template of the page needs."""
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    script = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    heard = {content.choices[place].row: place for place, _ in scenes}
    table, notes = content.mixtures, list(content.mixtures.notes)
    if left_out:
        notes.append(f"{left_out} mixtures were left out, as the file would be too large.")
    # those to hear stand in the table wherever they rank
    shown = [row for row in range(len(table.rows)) if row < MOST_ROWS or row in heard]
    if len(shown) < len(table.rows):
        notes.append(f"The {MOST_ROWS} worst of {len(table.rows)} mixtures, and those to hear.")
    table = dataclasses.replace(table, rows=[table.rows[row] for row in shown], notes=notes)
    return {
        "content": content, "table": table, "heard": [heard.get(row) for row in shown],
        "style": style, "script": script,
        "scenes": [made for _, made in scenes], "policy": _policy(style, script), "shade": _shade,
        # of a comment, which two dashes or an angle would end
        "comment": one_line(content.owner).replace("-", " ").replace(">", " ").replace("<", " "),
    }


def _policy(style: str, script: str) -> str:
    """A content security policy under which this style and script run and nothing else, from nowhere else."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _shade(share: float | None) -> str:
    """The class of a cell that is shaded."""
    return "" if share is None else f"shade-{round(share * _SHADES)}"


def _colour(number: int | None) -> str:
    """The class of a colour."""
    return "colour-none" if number is None else f"colour-{number % len(TALKER_COLOURS)}"


def _data(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def _ticks(seconds: float) -> list[tuple[float, str]]:
    """Places on the axis of time, as shares of it, and their labels."""
    steps = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
    step = next((step for step in steps if seconds / step <= _TICKS), steps[-1])
    return [(count * step / seconds, f"{count * step:g} s") for count in range(int(seconds / step) + 1)]
