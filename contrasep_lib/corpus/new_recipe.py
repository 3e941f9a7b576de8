"""Making a recipe: a folder of a few short files, of which one is left to write."""

from __future__ import annotations

import os
import re
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.ids import is_id, shown

NAME = re.compile(r"(?P<corpus>[A-Za-z][A-Za-z0-9_]*)_(?P<count>[1-9][0-9]?)mix")
# what every recipe is called with; see utils/recipe.sh
TOOLKIT = ("utils/recipe.sh", "utils/path.sh", "conf/cmd.sh")
RUN = """#!/usr/bin/env bash
# Mixtures of {count} talkers from {label}. See run.sh --help.
set -euo pipefail
here=$(dirname "${{BASH_SOURCE[0]}}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \\
    --recipe-dir "$here" \\
    --label "{label}" \\
    --num-spk {count} \\
{own}    --- "$@"
"""
DATA = """# The mixtures that the configurations of this recipe share.
mix:
  sets: {tr: 100, cv: 30, tt: 30}
"""
FINISHED = """# The mixtures that the configurations of this recipe share; of longer lists the first lines.
mix: {sets: {tr: 20000, cv: 5000, tt: 3000}}
corpus: {mixtures: {mixture: null}}  # e.g. mix_both; null: the only folder mix.. there is
"""
PREPARE = """#!/usr/bin/env bash
# {what}
set -euo pipefail
exec contrasep {command} "$@"
"""
LISTING = '''"""The recordings of {label}; see docs/howto/new_corpus.md."""

from pathlib import Path

from contrasep_lib.corpus.recordings import Recording


def recordings(corpus: Path):
    """Each recording in the folder that --corpus names."""
    for path in sorted(corpus.glob("*/*.wav")):
        yield Recording(path, speaker=path.parent.name)
'''


def recipe_files(corpus: str, count: int, label: str, finished: bool) -> dict[str, str]:
    """Name -> content of the files of a recipe.

    Args:
        corpus: its name.
        count: talkers of a mixture.
        label: what results call its speech.
        finished: whether it takes finished mixtures in place of a corpus.
    """
    files = {
        "run.sh": RUN.format(count=count, label=label, own="    --own-mixtures \\\n" if finished else ""),
        "cmd.sh": ". ../../conf/cmd.sh\n",
        "path.sh": ". ../../utils/path.sh\n",
        "conf/data.yaml": FINISHED if finished else DATA,
    }
    if finished:
        script = PREPARE.format(what="Mixtures that others have made, in --corpus DIR.", command="import-mixtures")
        return {**files, "local/prepare_sources.sh": script}
    command = 'prepare-corpus "${BASH_SOURCE[0]%/*}/corpus.py"'
    script = PREPARE.format(what="The recordings that corpus.py lists, in --corpus DIR.", command=command)
    return {**files, "local/prepare_sources.sh": script, "local/corpus.py": LISTING.format(label=label)}


def make_recipe(folder: str | os.PathLike[str], label: str | None = None, finished: bool = False) -> list[Path]:
    """Make a recipe.

    Args:
        folder: ``egs/CORPUS_Kmix`` of a checkout of the toolkit.
        label: what results call its speech; None for the corpus's name.
        finished: see `recipe_files`.

    Returns:
        the files made.

    Raises:
        ContrasepError: another form of name, no checkout around it, a label with signs that a shell would read, or a
            folder that holds something already.
    """
    place = Path(os.path.abspath(folder))
    parts = NAME.fullmatch(place.name)
    if not parts or not is_id(place.name):
        raise ContrasepError(f"{folder}: expected a name CORPUS_Kmix of letters, digits and _, e.g. egs/vctk_2mix")
    root = place.parents[1]
    lacking = [name for name in TOOLKIT if not (root / name).is_file()]
    if lacking:
        raise ContrasepError(f"{folder}: no ../../{lacking[0]} there; make it in egs/ of a checkout of the toolkit")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ContrasepError(f"{folder}: already exists; name another folder, or delete it")
    label = label or parts["corpus"]
    if not label.isprintable() or re.search(r"[\"\\$`]", label):
        raise ContrasepError(f'--label: expected words without ", \\, $ and `, got \'{shown(label)}\'')
    made = []
    for name, text in recipe_files(parts["corpus"], int(parts["count"]), label, finished).items():
        write_text(place / name, text)
        if text.startswith("#!"):
            (place / name).chmod(0o755)
        made.append(Path(folder) / name)
    return made
