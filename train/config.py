"""The recipe of a run, filled from a TOML file and changes such as a.b=c.

An unknown key is an error, because a misspelt key would silently mean its default. A key that this
kind of training does not read is an error too, because it would silently do nothing.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtdenoise.errors import UsageError

from .sections import Data, Degrade, Loss, Narrow, Objective, Optim, Run, Scenes, Train
from .settings import build

KINDS = ("speech", "music")  # what a net can restore
SHARDS = ("all", "parts", "own")  # what the shares of a step are drawn from
# Tables and keys that the one kind of training does not read, and therefore refuses.
UNREAD = {
    "spectra": (
        "degradation", "data.margin_s", "objective.l1", "objective.l2", "objective.snr",
        "objective.si_sdr", "objective.stft", "objective.compressed", "objective.features_file",
        "objective.features_warmup_steps", "narrow",
    ),
    "waves": ("degrade", "scenes", "narrow", "loss", "run.pool", "run.compile"),
    "envelopes": ("loss", "objective", "run.pool", "run.compile"),
}  # fmt: skip
# Training on envelopes takes pairs that `degradation` makes, or scenes if [narrow] is on.
UNREAD_OF_WAVES = ("degrade", "scenes", "narrow")
UNREAD_OF_SCENES = (
    "degradation", "data.margin_s", "degrade.snr_db", "degrade.snr_share", "degrade.drr_db",
    "degrade.second_noise_share", "degrade.band_limit_share", "degrade.band_limit_hz", "scenes.on",
    "scenes.clean_share", "scenes.noiseless_share", "scenes.speechless_share", "scenes.jump_share",
    "scenes.distorted_share",
)  # fmt: skip

# What a run may change when it continues: its length, and how it uses the machine and reports.
CHANGEABLE = {
    "optim": {"minutes", "steps", "shares"},
    "run": {
        "threads", "compile", "log_steps", "checkpoint_s", "dev_s", "unseen_s", "patience_s",
        "tensorboard",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """All settings of a run. Its checkpoint and the model's card carry a copy.

    Attributes:
        name: Name of the model on its card.
        task: Task of the model: denoise, dereverb or superres.
        kind: Kind of sound that the net restores: speech or music.
        description: A sentence for the card.
        licence: Licence of the model on its card.
        train: The kind of training: on spectra or on waveforms.
        data: The recordings and how excerpts are drawn from them.
        degrade: Degradations of training on spectra.
        scenes: Degradations of training on spectra, if they are simulated as scenes.
        narrow: Limited bands of training on envelopes, if they are simulated as scenes.
        degradation: Degradation of training on waveforms, in the language of `rtdenoise degrade`,
            or `recorded` for a data set's own pairs.
        net: `network` names one of train/networks; the other keys are its settings.
        loss: Weights of the losses on spectra.
        objective: Weights of the losses on waveforms, and the adversary of both.
        optim: The optimisers and their schedule.
        run: How the run is carried out.
    """

    name: str = "speech"
    task: str = "denoise"
    kind: str = "speech"
    description: str = ""
    licence: str = "CC-BY-SA-4.0"
    train: Train = field(default_factory=Train)
    data: Data = field(default_factory=Data)
    degrade: Degrade = field(default_factory=Degrade)
    scenes: Scenes = field(default_factory=Scenes)
    narrow: Narrow = field(default_factory=Narrow)
    degradation: str = ""
    net: dict[str, Any] = field(default_factory=lambda: {"network": "spectral"})
    loss: Loss = field(default_factory=Loss)
    objective: Objective = field(default_factory=Objective)
    optim: Optim = field(default_factory=Optim)
    run: Run = field(default_factory=Run)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for a checkpoint or a card."""
        return asdict(self)


def train_table(values: dict[str, Any]) -> Any:
    """Return the [train] table of a recipe, with `on` by the rule of `Train` where it is absent.

    Raises:
        UsageError: [train] names no kind of training.
    """
    table = values.get("train", {})
    if not isinstance(table, dict):
        return table  # `build` reports what is wrong with it
    table = {"on": "waves" if values.get("degradation") else "spectra"} | table
    if table["on"] not in UNREAD:
        raise UsageError(f"train.on = {table['on']!r}; known: {', '.join(UNREAD)}")
    return table


def unread(recipe: Recipe) -> tuple[str, ...]:
    """Return the tables and keys that the training of a recipe does not read."""
    if recipe.train.on != "envelopes":
        return UNREAD[recipe.train.on]
    return UNREAD["envelopes"] + (UNREAD_OF_SCENES if recipe.narrow.on else UNREAD_OF_WAVES)


def _keys_set(values: dict[str, Any], name: str) -> list[str]:
    """List the keys of *name*, a table or one key, that a recipe sets; an empty text sets none."""
    first, _, key = name.partition(".")
    value = values.get(first)
    if key:
        return [name] if isinstance(value, dict) and key in value else []
    if isinstance(value, dict):
        return [f"{name}.{key}" for key in value]
    return [name] if value else []


def load(path: str | Path, changes: list[str] | None = None) -> Recipe:
    """Read a recipe from a file and apply changes such as `optim.lr=3e-4`.

    Raises:
        UsageError: the file cannot be read or is not TOML, or a key is unknown, has a value of the
            wrong type, or is not read by this kind of training.
    """
    try:
        values = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise UsageError(f"{path} is not TOML: {error}") from None
    for change in changes or []:
        key, equals, text = change.partition("=")
        if not equals:
            raise UsageError(f"{change!r} is no change: wanted key=value, as in optim.lr=3e-4")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        *tables, last = key.strip().split(".")
        at = values
        for table in tables:
            at = at.setdefault(table, {})
            if not isinstance(at, dict):
                raise UsageError(f"{change!r}: {table} is no table, but {at!r}")
        at[last] = value
    recipe: Recipe = build(Recipe, values | {"train": train_table(values)})
    choices = (("kind", recipe.kind, KINDS), ("data.shards", recipe.data.shards, SHARDS))
    if wrong := [choice for choice in choices if choice[1] not in choice[2]]:
        name, value, known = wrong[0]
        raise UsageError(f"{name} = {value!r}; known: {', '.join(known)}")
    if useless := [key for name in unread(recipe) for key in _keys_set(values, name)]:
        raise UsageError(
            f"training on {recipe.train.on} (train.on) does not read {', '.join(useless)}: take "
            "it out of the recipe"
        )
    return recipe


def stored(values: dict[str, Any]) -> Recipe:
    """Return the recipe that a checkpoint or a card carries; old names of keys are translated."""
    run = dict(values["run"])
    if "judge_s" in run:  # its name until November 2026
        run["dev_s"] = run.pop("judge_s")
    recipe: Recipe = build(Recipe, values | {"train": train_table(values), "run": run})
    return recipe


def differences(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the settings, such as optim.lr, that differ between two recipes: before, after."""
    old, new = (flat(recipe.as_dict()) for recipe in (before, after))
    names = sorted(old.keys() | new.keys())
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}


def changeable(name: str) -> bool:
    """Whether a run may change the setting *name*, such as optim.steps, when it continues."""
    table, _, key = name.partition(".")
    return key in CHANGEABLE.get(table, ())


def flat(values: dict[str, Any], table: str = "") -> dict[str, Any]:
    """Return settings by their whole names, such as optim.lr, from tables in tables."""
    named: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, dict)
        named |= flat(value, f"{table}{key}.") if inner else {f"{table}{key}": value}
    return named
