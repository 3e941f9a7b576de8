"""What a run of a recipe is about: its configuration files, its values, its name, the keys of its steps.

`resolve` gives a stage script all of it at once (``contrasep resolve``, ``utils/recipe.sh``).
"""

from __future__ import annotations

import dataclasses
import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.config.bounds import Minutes, typed
from contrasep_lib.config.reading import Layers, configure, read_layers
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.done import step_keys

# the mixtures of a recipe, which stand under every configuration of a run
DATA = "conf/data.yaml"
# sections that a model, and a modularity network, does not depend on
NOT_OF_MODEL = ("modularity", "separate", "score")
NOT_OF_MODULARITY = ("separate", "score")
# sections that an oracle does not read
OF_MODEL = ("model", "pretrain", "finetune", "modularity")
# characters of a name that is made: of the 255 of a file's name some are for endings
LONGEST = 230
# shares of --budget-minutes for pretraining and for finetuning; the rest is for separation and scores
SHARES = {"pretrain": 0.25, "finetune": 0.5}


def find_config(name: str, recipe: str | os.PathLike[str] = ".", caller: str | os.PathLike[str] = ".") -> Path:
    """The file that ``--config NAME`` of a run means.

    A relative name is looked for in the recipe's folder, then from where the caller stands, then in the toolkit's
    folder, two above the recipe's: so ``conf/tf.yaml`` is the recipe's own where it has one of that name.

    Raises:
        ContrasepError: none of them is there.
    """
    recipe = Path(recipe)
    for path in (recipe / name, Path(caller) / name, recipe / "../.." / name):
        if path.is_file():
            return path
    raise ContrasepError(f"{name}: no such configuration, in the recipe's folder or the toolkit's; see conf/ of both")


def find_configs(
    names: Sequence[str], recipe: str | os.PathLike[str] = ".", caller: str | os.PathLike[str] = "."
) -> list[Path]:
    """Files of a run's configuration, later ones over earlier ones: the recipe's mixtures, then those that were named.

    Raises:
        ContrasepError: see `find_config`.
    """
    data = Path(recipe) / DATA
    named = [find_config(name, recipe, caller) for name in names]
    return [*([data] if data.is_file() and data not in named else []), *named]


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of run.sh, beside configurations and overrides, that names and values of a run follow from.

    Attributes:
        tag: name of the experiment; empty: from the configuration.
        model_tag: experiment whose model is used; empty: the one that differs in nothing that a model depends on.
        model_dir: folder of a trained experiment; empty: none.
        init_param: ``model.pth`` that training begins with; empty: none.
        extra_train: whether the corpus's extra utterances are in training.
        budget_minutes: time of stages 3 to 6, as typed; empty: no limit.
        num_spk, own_num_spk: talkers per mixture, of the run and of the recipe as it is.
    """

    tag: str = ""
    model_tag: str = ""
    model_dir: str = ""
    init_param: str = ""
    extra_train: bool = False
    budget_minutes: str = ""
    num_spk: int = 2
    own_num_spk: int = 2


def experiment_name(
    config: str | os.PathLike[str],
    separator: str,
    overrides: Sequence[str],
    options: Options,
    without: Sequence[str] = (),
) -> str:
    """What an experiment is called.

    Args:
        config: the last configuration.
        separator: of the run.
        overrides: ``section.key=value``.
        options: of the run.
        without: sections whose overrides are left out: a model serves all experiments that differ in those alone.
    """
    name = Path(config).name.removesuffix(".yaml")
    if separator.startswith(name):
        name = separator  # conf/oracle.yaml with oracle_ibm is the experiment oracle_ibm
    elif separator.startswith("oracle") or separator == "mixture":
        name += f"_{separator}"
    for override in overrides:
        section, _, setting = override.partition(".")
        # the silence rule decides what a model learns from
        of_model = section not in without or override.startswith("separate.silence_db=")
        # what a plugin brings is chosen by other values
        if of_model and not override.startswith(("separate.separator=", "plugins=")):
            name += "_" + re.sub(r"[^A-Za-z0-9._=-]", "-", _short(setting))
    if options.extra_train:
        name += "_extra_train"
    if options.init_param:
        name += "_init"
    if options.budget_minutes and separator == "model":
        name += f"_{options.budget_minutes}min"
    if options.model_dir:
        name += f"_by_{Path(options.model_dir).name}"
    if options.num_spk != options.own_num_spk:
        name += f"_{options.num_spk}mix"
    return name


def _short(setting: str) -> str:
    """``key=value``; of a path its last part, and a checksum that tells it from others of the same end."""
    key, equals, value = setting.partition("=")
    if "/" not in value:
        return setting
    return f"{key}{equals}{Path(value).name}-{zlib.crc32(value.encode()):08x}"


def _names(config: Path, separator: str, overrides: Sequence[str], options: Options) -> dict[str, str]:
    """``tag``, and those of the experiments whose model and modularity network it uses."""
    if options.tag:
        own = options.tag
        return {"tag": own, "model_tag": options.model_tag or own, "communities_tag": own}
    own, of_model, of_modularity = (
        experiment_name(config, separator, overrides, options, without)
        for without in ((), NOT_OF_MODEL, NOT_OF_MODULARITY)
    )
    if len(own) > LONGEST:
        raise ContrasepError(f"the experiment's name has {len(own)} characters ({own[:60]}..); give it one by --tag")
    if options.model_tag:
        return {"tag": own, "model_tag": options.model_tag, "communities_tag": own}
    return {"tag": own, "model_tag": of_model, "communities_tag": of_modularity}


def unread_settings(config: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """Overrides of sections that a run of this configuration does not read.

    Args:
        config: the checked configuration.
        overrides: ``section.key=value``.

    Returns:
        ``section.key`` -> why nothing reads it.
    """
    separator, why, idle = config["separate"].separator, {}, _idle(config)
    for key in (override.partition("=")[0] for override in overrides):
        section, _, name = key.partition(".")
        option = f"{section}.{name.partition('.')[0]}"
        if section in OF_MODEL and separator != "model":
            why[key] = f"the separator '{separator}' has no model"
        elif section == "pretrain" and key != "pretrain.epochs" and config["pretrain"].epochs == 0:
            why[key] = "pretrain.epochs is 0"
        elif option in idle:
            why[key] = idle[option]
    return why


def _idle(config: Mapping[str, Any]) -> dict[str, str]:
    """Options that other values leave without a reader -> which ones."""
    model, separator, idle = config["model"], config["separate"].separator, {}
    if separator != "model":
        settings = ("separate.count", "separate.mask", "separate.temperature")
        idle |= dict.fromkeys(settings, f"the separator '{separator}' has no model")
    elif config["separate"].mask != "posterior":
        idle["separate.temperature"] = f"separate.mask is '{config['separate'].mask}'"
    if model.labels != "none":
        idle |= dict.fromkeys(("model.neighbours", "model.remix_db"), f"model.labels is '{model.labels}'")
    if config["pretrain"].epochs == 0:
        idle["model.pretrain_objectives"] = "pretrain.epochs is 0"
    if model.decoder is None:
        idle["model.centroids"] = "there is no model.decoder"
    for phase in SHARES:
        options = config[phase]
        # the counter of stage 4 asks for finetuning's
        if options.data == "fixed" or (options.data == "single" and phase == "pretrain"):
            idle[f"{phase}.num_spk"] = f"{phase}.data is '{options.data}'"
        if options.scheduler == "none":
            idle[f"{phase}.scheduler_conf"] = f"{phase}.scheduler is 'none'"
    return idle


def _unread(layers: Layers, config: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """As `unread_settings`, and overrides in an earlier version's spelling that the chosen parts do not have."""
    why = unread_settings(config, overrides)
    return why | {layers.typed[key]: "the chosen parts do not have it" for key in layers.unread if key in layers.typed}


def _budgets(config: Mapping[str, Any], options: Options) -> list[str]:
    """The phases' shares of the time, as overrides: the same whenever a run goes on."""
    if not options.budget_minutes:
        return []
    try:
        minutes = typed(Minutes, options.budget_minutes)
    except ValueError as error:
        raise ContrasepError(f"--budget-minutes: {error}") from None
    shares = SHARES if config["pretrain"].epochs > 0 else {"finetune": sum(SHARES.values())}
    return [f"{phase}.budget_minutes={share * minutes:g}" for phase, share in shares.items()]


def _counts(config: Mapping[str, Any], options: Options) -> list[str]:
    """Numbers of speakers of phases that leave them to the run, as overrides: up to one more than its mixtures have.

    Every other mixture is too few or too many speakers away, so that a counter learns both errors.
    """
    tested = options.num_spk
    most = max(tested, min(tested + 1, config["modularity"].k_max))
    counts = sorted([*range(1, most + 1), tested])
    return [f"{phase}.num_spk={counts}" for phase in SHARES if config[phase].num_spk is None]


def refuse(line: str) -> None:
    """Raise ContrasepError for a setting that nothing reads."""
    raise ContrasepError(f"{line}; leave it out")


def resolve(
    names: Sequence[str],
    overrides: Sequence[str] = (),
    options: Options = Options(),
    recipe: str | os.PathLike[str] = ".",
    caller: str | os.PathLike[str] = ".",
    unread: Callable[[str], None] = refuse,
) -> dict[str, str | bool | list[str]]:
    """All that the stage script of a recipe takes from its configuration.

    Args:
        names: configurations, as named by ``--config``.
        overrides: ``section.key=value``.
        options: of run.sh.
        recipe: folder of the recipe.
        caller: folder that relative names may also be relative to.
        unread: is called with a line for each override that nothing reads.

    Returns:
        variable of the script -> value. ``settings`` are the words that every stage program is called with,
        ``balanced`` the corpora that the two phases read by shares, ``key_STEP`` the keys of `step_keys`.

    Raises:
        ContrasepError: a configuration that is not there or has an error, an override that nothing reads.
    """
    files = find_configs(names, recipe, caller)
    layers = read_layers(files, overrides)
    config = configure(layers, files)
    for key, why in _unread(layers, config, overrides).items():
        unread(f"--set {key}: nothing reads it here, {why}")
    derived = [*_counts(config, options), *_budgets(config, options)]
    if derived:
        config = configure(read_layers(files, [*overrides, *derived]), files)
    separator = config["separate"].separator
    if separator == "model" and not options.model_dir and config["finetune"].data == "dynamic":
        config["model"].require_count(max(config["finetune"].num_spk or (1,)), "finetune.num_spk")
    settings = [word for file in files for word in ("--config", str(file))]
    settings += [word for setting in (*overrides, *derived) for word in ("--set", setting)]
    balances = {phase: list(config[phase].balance or ()) for phase in SHARES}
    corpora = list(dict.fromkeys(name for names in balances.values() for name in names))
    return {
        "config": str(files[-1]),
        "settings": settings,
        "separator": separator,
        "rate": str(config["mix"].rate),
        "mode": config["mix"].mode,
        "sets": list(config["mix"].sets),
        "pretrains": config["pretrain"].epochs > 0,
        **{f"{phase}_data": config[phase].data for phase in SHARES},
        **{f"{phase}_balance": names for phase, names in balances.items()},
        "balanced": corpora if separator == "model" else [],
        **_names(files[-1], separator, overrides, options),
        **{f"key_{step}": key for step, key in step_keys(config).items()},
    }
