"""The effects that a board file can name: ours, pedalboard's, VST3s and the user's own.

A user's effect is `module:Class`, an `Effect`; it may list its `parameters`, otherwise they are
read from its constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..core.named import find_named
from ..errors import UsageError
from . import native
from .board import Board, Mix
from .effect import Denoise, DryWet, Effect
from .parameter import Parameter, from_docstring, from_signature

STRENGTH = (
    Parameter("mix", 100.0, 0, 100, "%", "processed sound in the output; the rest is the input"),
    Parameter("atten_lim_db", None, 0, 100, "dB", "the most that is removed; 100: no limit"),
    Parameter("residual", False, meaning="gives what was removed in place of what was kept"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of effect.

    Attributes:
        name: The `type` in a board file.
        summary: One sentence: what it does.
        origin: Who made it: rtdenoise, pedalboard or the user.
        parameters: What a board file may set.
        make: Makes one from its parameters and the effects within.
        holds: How many effects may stand within: "none", "one" or "many".
        streams: Whether it works block by block; if not, files and arrays only.
        any_parameter: Whether parameters beyond the listed ones may be given: those of a VST3.
    """

    name: str
    summary: str
    origin: str
    parameters: tuple[Parameter, ...]
    make: Callable[[dict[str, Any], Sequence[Any]], Any]
    holds: str = "none"
    streams: bool = True
    any_parameter: bool = False


def _dry_wet(settings: dict[str, Any], inner: Sequence[Any]) -> DryWet:
    return DryWet(inner[0] if isinstance(inner[0], Effect) else Board(inner), **settings)


OURS = (
    Kind(
        "Denoise",
        "Runs a generator: removes noise, rooms, or what else its model was trained for.",
        "rtdenoise",
        (Parameter("model", "speech", meaning="name in the box, or path of a file"), *STRENGTH),
        lambda settings, _: Denoise(**settings),
    ),
    Kind("Board", "Effects one after the other.", "rtdenoise", (), lambda _, e: Board(e), "many"),
    Kind(
        "Mix",
        "Effects side by side, aligned and added up.",
        "rtdenoise",
        (),
        lambda _, e: Mix(e),
        "many",
    ),
    Kind(
        "DryWet",
        "The effect within it, mixed with its aligned input.",
        "rtdenoise",
        STRENGTH,
        _dry_wet,
        "one",
    ),
    Kind(
        "VST3",
        "A VST3 plugin; its own parameters are given by their names.",
        "pedalboard",
        (Parameter("path", meaning="of the .vst3"),),
        lambda settings, _: native.load_vst3(settings),
        any_parameter=True,
    ),
)


def kinds() -> dict[str, Kind]:
    """Every kind of effect that has a name: ours first, then pedalboard's."""
    found = {kind.name: kind for kind in OURS}
    for name, plugin in sorted(native.plugin_types().items()):
        found[name] = _of_pedalboard(name, plugin)
    return found


def _of_pedalboard(name: str, plugin: type[Any]) -> Kind:
    ranges = native.RANGES.get(name, {})
    parameters = tuple(
        Parameter(p.name, p.default, *ranges.get(p.name, (None, None)), p.unit)
        for p in from_docstring(plugin.__init__.__doc__ or "")
    )
    words = (plugin.__doc__ or "").replace("`", "").split()
    sentence = " ".join(words).partition(". ")[0].rstrip(".")
    return Kind(
        name,
        f"{sentence}.",
        "pedalboard",
        parameters,
        lambda settings, _: native.make(name, plugin, settings),
        streams=name not in native.NOT_STREAMABLE,
    )


def kind(name: str) -> Kind:
    """The kind of effect that *name* means, `module:Class` included.

    Raises:
        UsageError: there is none; the known ones are listed.
    """
    for ours in OURS:  # without loading pedalboard
        if ours.name == name:
            return ours
    if ":" in name:
        return _of_user(name)
    known = kinds()
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"unknown effect {name!r}; known: {', '.join(known)}, module:Class of yours.{hint}"
        )
    return known[name]


def _of_user(place: str) -> Kind:
    maker = find_named(place, "effect")
    if not (isinstance(maker, type) and issubclass(maker, Effect)):
        raise UsageError(f"{place} is not a subclass of rtdenoise.Effect, which effects must be")
    summary = (maker.__doc__ or "").strip().partition("\n")[0]
    parameters = maker.parameters or from_signature(maker)
    return Kind(place, summary, "yours", parameters, lambda settings, _: maker(**settings))


def make(name: str, settings: dict[str, Any], inner: Sequence[Any] = (), where: str = "") -> Any:
    """An effect of the kind *name*.

    Args:
        name: The kind.
        settings: Its parameters.
        inner: The effects within it.
        where: What to put before messages: the place in a board file.

    Raises:
        UsageError: an unknown kind or parameter (the known ones are listed), a value that is
            refused, or effects within what holds none.
        ModelError: a model that cannot be loaded.
    """
    made = kind(name)
    known = {parameter.name: parameter for parameter in made.parameters}
    if not made.any_parameter and (unknown := sorted(set(settings) - set(known))):
        choices = ", ".join(known) or ("effect" if made.holds != "none" else "none")
        raise UsageError(f"{where}{name} has no {unknown[0]!r}; known: {choices}")
    if made.holds == "none" and inner:
        holders = " and ".join(k.name for k in OURS if k.holds != "none")
        raise UsageError(f"{where}{name} holds no effects; {holders} do")
    if made.holds == "one" and len(inner) != 1:
        raise UsageError(f"{where}{name} holds one effect, got {len(inner)}")
    for key, value in settings.items():
        if key in known:
            known[key].check(name, value)
    return made.make(settings, inner)
