"""Make a recipe for a corpus of one's own: a folder of a few short files, of which one is left to write.

    contrasep new-recipe egs/vctk_2mix                two talkers of a corpus that local/corpus.py lists
    contrasep new-recipe egs/mine_3mix --mixtures     finished mixtures of three talkers

docs/howto/new_corpus.md walks through both.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep new-recipe``."""
    parser.add_argument("folder", metavar="egs/CORPUS_Kmix", help="the recipe; K is the number of talkers")
    parser.add_argument("--label", metavar="WORDS", help="what results call its speech (default: the corpus's name)")
    parser.add_argument("--mixtures", action="store_true", help="for mixtures that others have made")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep new-recipe``."""
    from contrasep_lib.corpus.new_recipe import make_recipe

    made = make_recipe(args.folder, args.label, args.mixtures)
    print(*made, sep="\n")
    if args.mixtures:
        print(f"next: {args.folder}/run.sh --corpus DIR --stop-stage 0")
    else:
        print(f"next: let {args.folder}/local/corpus.py list your corpus, then run")
        print(f"      {args.folder}/run.sh --corpus DIR --stop-stage 0")
