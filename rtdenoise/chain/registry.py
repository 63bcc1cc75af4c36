"""The registry of the effects that a board file can name: ours, pedalboard's and the user's own.

A user's effect is named `module:Class` and is a subclass of `Effect`. It may list its `parameters`;
otherwise they are read from its constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

from ..core.named import find_named
from ..errors import RtdenoiseError, UsageError, last_line
from . import native, vst3
from .autolevel import AutoLevel
from .board import Board, Mix
from .effect import Denoise, DryWet, Effect
from .parameter import REQUIRED, Parameter, from_signature

STRENGTH = (
    Parameter("mix", 100.0, 0, 100, "%", "processed sound in the output; the rest is the input"),
    Parameter("atten_lim_db", None, 0, 100, "dB", "the most that is removed; 100: no limit"),
    Parameter("residual", False, meaning="gives what was removed in place of what was kept"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of effect that a board file can name.

    Attributes:
        name: The `type` in a board file.
        summary: One sentence that says what the effect does.
        origin: Where the effect comes from: "rtdenoise", "pedalboard" or "yours".
        parameters: The parameters that a board file may set.
        make: Function that makes an effect from its parameters and the effects within it.
        holds: How many effects it has within it: "none", "one" or "many".
        streams: Whether it can stream. False: it processes only files and arrays.
        any_parameter: Whether parameters that are not listed may be set, as those of a VST3 and of
            a model.
    """

    name: str
    summary: str
    origin: str
    parameters: tuple[Parameter, ...]
    make: Callable[[dict[str, Any], Sequence[Any]], Any]
    holds: str = "none"
    streams: bool = True
    any_parameter: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the kind as JSON has it; a parameter that is `required` has no default."""
        rows = []
        for parameter in self.parameters:
            required = parameter.default is REQUIRED
            row = asdict(replace(parameter, default=None) if required else parameter)
            rows.append(row | {"required": required})
        return {
            "name": self.name,
            "origin": self.origin,
            "summary": self.summary,
            "streams": self.streams,
            "parameters": rows,
        }


def _dry_wet(settings: dict[str, Any], inner: Sequence[Any]) -> DryWet:
    """Make a `DryWet` of one effect, which may be a plugin of pedalboard."""
    return DryWet(inner[0] if isinstance(inner[0], Effect) else Board(inner), **settings)


OURS = (
    Kind(
        "Denoise",
        "Removes noise, reverberation, or whatever else its model was trained to remove.",
        "rtdenoise",
        (Parameter("model", "speech", meaning="name in the box, or path of a file"), *STRENGTH),
        lambda settings, _: Denoise(**settings),
        any_parameter=True,  # those of the model, which knows them
    ),
    Kind(
        "Board", "Runs effects one after the other.", "rtdenoise", (), lambda _, e: Board(e), "many"
    ),
    Kind(
        "Mix",
        "Runs effects side by side, and adds up their aligned outputs.",
        "rtdenoise",
        (),
        lambda _, e: Mix(e),
        "many",
    ),
    Kind(
        "DryWet",
        "Mixes the effect within it with its aligned input.",
        "rtdenoise",
        STRENGTH,
        _dry_wet,
        "one",
    ),
    Kind(
        "AutoLevel",
        "Brings a voice slowly to a loudness, leaves pauses alone, and holds peaks at a ceiling.",
        "rtdenoise",
        AutoLevel.parameters,
        lambda settings, _: AutoLevel(**settings),
    ),
    Kind(
        "VST3",
        "Runs a VST3 plugin; its own parameters are given by their names.",
        "pedalboard",
        (
            Parameter("path", meaning="path of the .vst3"),
            Parameter("plugin_name", None, meaning="which plugin, if the file holds several"),
            Parameter("preset", None, meaning="path of a .vstpreset with its settings"),
            Parameter("state", None, meaning="its settings, as a saved board has them"),
        ),
        lambda settings, _: vst3.load(settings),
        any_parameter=True,
    ),
)


def kinds() -> dict[str, Kind]:
    """Return every kind of effect by name, without the user's: ours first, then pedalboard's."""
    named = {kind.name: kind for kind in OURS}
    for name, plugin in sorted(native.plugin_types().items()):
        named[name] = _of_pedalboard(name, plugin)
    return named


def _of_pedalboard(name: str, plugin: type[Any]) -> Kind:
    """Return the kind of a pedalboard plugin, as its docstrings describe it."""
    words = (plugin.__doc__ or "").replace("`", "").split()
    sentence = " ".join(words).partition(". ")[0].rstrip(".")
    return Kind(
        name,
        f"{sentence}.",
        "pedalboard",
        native.parameters(plugin),
        lambda settings, _: native.make(name, plugin, settings),
        streams=name not in native.NOT_STREAMABLE,
    )


def kind(name: str) -> Kind:
    """Return the kind of effect called *name*, which may be `module:Class`.

    Raises:
        UsageError: If there is no such kind; the message lists the choices.
    """
    for ours in OURS:  # these need no import of pedalboard
        if ours.name == name:
            return ours
    if ":" in name:
        return _of_user(name)
    named = kinds()
    if name not in named:
        near = get_close_matches(name, named, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"unknown effect {name!r}; known: {', '.join(named)}, module:Class of yours.{hint}"
        )
    return named[name]


def _of_user(place: str) -> Kind:
    """Return the kind of a user's effect, `module:Class`."""
    maker = find_named(place, "effect")
    if not (isinstance(maker, type) and issubclass(maker, Effect)):
        raise UsageError(f"{place} is not an effect: wanted a subclass of rtdenoise.Effect")
    summary = (maker.__doc__ or "").strip().partition("\n")[0]
    parameters = maker.parameters or from_signature(maker)
    return Kind(place, summary, "yours", parameters, lambda s, _: _user_made(place, maker, s))


def _user_made(place: str, maker: type[Effect], settings: dict[str, Any]) -> Effect:
    """Return a user's effect, whose constructor may raise anything."""
    try:
        return maker(**settings)
    except RtdenoiseError:
        raise
    except Exception as error:
        raise UsageError(f"{place} cannot be made: {last_line(error)}") from error


def make(name: str, settings: dict[str, Any], inner: Sequence[Any] = (), where: str = "") -> Any:
    """Make an effect of the kind *name*.

    Args:
        name: Name of the kind.
        settings: Values by the names of the parameters.
        inner: The effects within it.
        where: Text before error messages, as the place in a board file.

    Raises:
        UsageError: If the kind or a parameter is unknown (the message lists the choices), a value
            is refused, or the kind cannot hold the effects within it.
        ModelError: If a model cannot be loaded.
    """
    try:
        made = kind(name)
        _check(made, settings, inner)
        return made.make(settings, inner)
    except RtdenoiseError as error:
        raise type(error)(f"{where}{error}", error.problem) from None


def _check(made: Kind, settings: dict[str, Any], inner: Sequence[Any]) -> None:
    """Refuse settings that the kind *made* does not have, lacks or cannot take."""
    name, listed = made.name, {parameter.name: parameter for parameter in made.parameters}
    if not made.any_parameter and (unknown := sorted(set(settings) - set(listed))):
        choices = ", ".join(listed) or ("effect" if made.holds != "none" else "none")
        raise UsageError(f"{name} has no {unknown[0]!r}; known: {choices}")
    for key, value in settings.items():
        if key in listed:
            listed[key].check(name, value)
    if lacking := [n for n, p in listed.items() if p.default is REQUIRED and n not in settings]:
        raise UsageError(f"a {name} needs {', '.join(lacking)}")
    if made.holds == "none" and inner:
        holders = " and ".join(k.name for k in OURS if k.holds != "none")
        raise UsageError(f"{name} holds no effects; {holders} do")
    if made.holds == "one" and len(inner) != 1:
        raise UsageError(f"{name} holds one effect, got {len(inner)}")
