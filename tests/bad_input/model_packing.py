"""Models that are packed, through ``contrasep pack``."""

import shutil
from pathlib import Path

from contrasep_lib.separate.shipped import FOLDER
from tests.bad_input.kinds import kind, put
from tests.bad_input.model_packs import FAMILY, PACK


def model(*without, card=None, config=None):
    """A copy of a model of the package as ``m``, to pack."""
    shutil.copytree(FOLDER / "small", "m")
    for name in without:
        (Path("m") / name).unlink()
    for name, content in (("README.md", card), ("config.yaml", config)):
        if content is not None:
            put(f"m/{name}", content)
    return "pack", "m", PACK


@kind(FAMILY, "a model without a card", "m/README.md", "no card; write one with a first line '# NAME: WHAT'")
def no_card(folder):
    return model("README.md")


@kind(FAMILY, "a card without a licence", "m/README.md", "no licence in it; write a line '- Licence: ..'")
def no_licence(folder):
    return model(card="# m: a model\n")


@kind(FAMILY, "a card whose first line is something else", "m/README.md", "first line: expected '# NAME: WHAT'")
def no_headline(folder):
    return model(card="a model\n- Licence: MIT\n")


@kind(FAMILY, "a card that is no text", "m/README.md", "not UTF-8; write a card")
def no_text(folder):
    return model(card=b"\xff\xfe# m")


@kind(FAMILY, "another licence than the card's", "--licence", "m/README.md has another, 'Apache-2.0, weights included'")
def two_licences(folder):
    return *model(), "--licence", "MIT"


@kind(FAMILY, "a licence of several lines", "--licence", "expected words on one line")
def long_licence(folder):
    return *model("README.md"), "--licence", "a\nb"


@kind(FAMILY, "parts from plugins", "m/config.yaml", "plugins: parts from tests.bad_input.kinds, which is code")
def plugins(folder):
    return model(config="plugins: tests.bad_input.kinds\n" + (FOLDER / "small/config.yaml").read_text())


@kind(FAMILY, "a model without its configuration (packing)", "m: ", "no config.yaml in it; name its configuration")
def no_config(folder):
    return model("config.yaml")


@kind(FAMILY, "a pack that is there already", PACK, "already there; remove it, or name another file")
def there(folder):
    put(PACK, "mine")
    return model()
