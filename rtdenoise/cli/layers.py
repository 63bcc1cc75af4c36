"""Where the value of each option comes from: the first layer that names it, in this order.

command line > environment (RTDENOISE_...) > preset > last devices of the preset > config file >
default. A setting is called as its option, without the dashes; its variable is RTDENOISE_ and
the same in capitals, with _ for each dash.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, printable
from ..live import presets
from .arguments import file_name

if TYPE_CHECKING:
    from ..live.devices import Kind

VARIABLE = "RTDENOISE_"
ENVIRONMENT, CONFIG, DEFAULT, TYPED = "environment", "config.toml", "default", "command line"
TRUTH = {"1": True, "true": True, "yes": True, "on": True} | {
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip
OWN = ("help", "verbose")  # they are for one run
PRESET = "preset"
BOARD = {"model", "board"}  # one replaces the other
ENDS: dict[str, Kind] = {"in": "input", "out": "output"}
FILE = "file:"  # the start of an end that is a file
NUMBERS: dict[Any, Any] = {int: int, float: int | float}  # what TOML holds for a type of argparse
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Default:
    """The default of an option, which stays in the namespace if the option is not given."""

    value: Any

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Layer:
    """Values that come from one place.

    Attributes:
        where: The place, for people.
        values: The values by the names of the settings, as the place holds them.
        file: File that the values were read from. None: there is none.
    """

    where: str
    values: Mapping[str, Any]
    file: Path | None = None

    @property
    def may_choose(self) -> bool:
        """Whether it may choose the preset."""
        return self.where in (ENVIRONMENT, CONFIG)

    def named(self, key: str) -> str:
        """Return what a message calls the setting *key* of this layer."""
        return f"{printable(self.file)}: {key}" if self.file else variable(key)


class Layers:
    """The options of a parser whose values may come from several places.

    It marks the defaults of the parser's options, so that a given value is known from a default,
    and adds the opposite of each flag, which a preset may hold.

    Args:
        parser: The parser, with all its options.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.options: dict[str, argparse.Action] = {}
        self.types: dict[str, Any] = {}  # as the options had them
        self.texts: dict[str, str] = {}  # what the command line gave, before it was converted
        for action in list(parser._actions):
            long = [o.removeprefix("--") for o in action.option_strings if o.startswith("--")]
            if long and action.dest not in OWN:
                self._mark(parser, long[0], action)
        groups = [group._group_actions for group in parser._mutually_exclusive_groups]
        # The options of which at most one has an effect: that of the highest layer.
        self.either = [{k for k, a in self.options.items() if a in group} for group in groups]
        parser.set_defaults(layers=self)

    def _mark(self, parser: argparse.ArgumentParser, key: str, action: argparse.Action) -> None:
        """Make it known whether the command line gives the option *action*."""
        self.options[key], self.types[key] = action, action.type
        action.default = Default(action.default)
        if action.nargs == 0 and action.const is True:
            opposite = key.removeprefix("no-") if key.startswith("no-") else f"no-{key}"
            parser.add_argument(
                f"--{opposite}", dest=action.dest, action="store_false",
                default=action.default, help=argparse.SUPPRESS,
            )  # fmt: skip
        elif action.type is not None and action.type not in NUMBERS:
            action.type = self._kept(key, action.type)

    def _kept(self, key: str, convert: Any) -> Callable[[str], Any]:
        """Return *convert*, which also keeps the text that it was given."""

        @functools.wraps(convert)
        def kept(text: str) -> Any:
            value = convert(text)
            self.texts[key] = text
            return value

        return kept

    def given(self, args: argparse.Namespace) -> dict[str, Any]:
        """Return what the command line gave, in forms that a preset can hold.

        The names of files become absolute: a preset is used in any folder.
        """
        found: dict[str, Any] = {}
        for key, action in self.options.items():
            value = getattr(args, action.dest)
            if isinstance(value, Default):
                continue
            if action.nargs == 0:
                found[key] = value if action.const is None else value == action.const
            elif action.nargs == "?" and value == action.const:
                found[key] = True
            elif self.types[key] is file_name or (key == "model" and Path(value).is_file()):
                found[key] = str(Path(value).absolute())
            elif key in ENDS and value.startswith(FILE):
                found[key] = FILE + str(Path(value.removeprefix(FILE)).absolute())
            else:
                found[key] = self.texts.get(key, value)
        return found

    def settled(self, args: argparse.Namespace, layered: bool = True) -> argparse.Namespace:
        """Return *args* with the value of each option from the first layer that names it.

        Args:
            args: What the parser returned.
            layered: Whether other layers than the command line and the defaults are asked.

        Returns:
            A namespace with values for all options, and `origins`: where each comes from.

        Raises:
            UsageError: If a layer has a setting that does not exist, or a value of another type.
        """
        values, origins = {}, dict.fromkeys(self.options, DEFAULT)
        for key, action in self.options.items():
            value = getattr(args, action.dest)
            if not isinstance(value, Default):
                values[key], origins[key] = value, TYPED
        for layer in self._layers(values) if layered else ():
            found = self._checked(layer)
            for key in found.keys() - values.keys() - self._rivals(values):
                values[key] = found[key]
                origins[key] = variable(key) if layer.file is None else layer.where
        settled = argparse.Namespace(**vars(args))
        for key, action in self.options.items():
            setattr(settled, action.dest, values.get(key, action.default.value))
            log.info("%s = %s (%s)", key, getattr(settled, action.dest), origins[key])
        settled.origins = origins
        return settled

    def _rivals(self, values: Mapping[str, Any]) -> set[str]:
        """Return the options that have no effect beside those in *values*."""
        pairs = ((key, each) for each in (*self.either, BOARD) for key in each & _on(values))
        return {rival for key, each in pairs for rival in each - {key}}

    def _layers(self, given: Mapping[str, Any]) -> Iterator[Layer]:
        """Yield the layers below the command line, the first one first."""
        environment = {k: v for k in self.options if (v := os.environ.get(variable(k)))}
        config = Layer(CONFIG, presets.config(), presets.config_file())
        yield Layer(ENVIRONMENT, environment)
        named = given.get(PRESET) or environment.get(PRESET) or config.values.get(PRESET)
        if named and PRESET in self.options:
            name = str(named)
            yield Layer(f"preset {name}", presets.load(name), presets.preset_file(name))
            last = presets.last_devices(name)
            yield Layer(f"last run with preset {name}", last, presets.last_file(name))
        yield config

    def _checked(self, layer: Layer) -> dict[str, Any]:
        """Return the values of *layer* as argparse would give them."""
        checked = {}
        for key, given in layer.values.items():
            if key not in self.options or (key == PRESET and not layer.may_choose):
                near = difflib.get_close_matches(key, self.options.keys() - {PRESET}, 1)
                hint = (
                    f"did you mean {near[0]}?" if near else "`rtdenoise live --help` has them all"
                )
                raise UsageError(f"{layer.named(printable(key))} is no setting of live: {hint}")
            action, kind = self.options[key], self.types[key]
            try:
                value = _of_text(action, kind, given) if layer.file is None else given
                checked[key] = _converted(action, kind, value)
            except argparse.ArgumentTypeError as error:
                raise UsageError(f"{layer.named(key)}: {error}") from None
            except (ValueError, OverflowError):
                got = f"got {printable(repr(given))}"
                raise UsageError(f"{layer.named(key)}: wanted {_wants(action)}, {got}") from None
        for both in (each & _on(checked) for each in self.either):
            if len(both) > 1:
                keys = " and ".join(map(layer.named, sorted(both)))
                raise UsageError(f"{keys} exclude each other: leave one out")
        return checked


def variable(key: str) -> str:
    """Return the environment variable of a setting.

    >>> variable("atten-lim")
    'RTDENOISE_ATTEN_LIM'
    """
    return VARIABLE + key.upper().replace("-", "_")


def _on(values: Mapping[str, Any]) -> set[str]:
    """Return the names of the settings that are not switched off."""
    return {key for key, value in values.items() if value is not None and value is not False}


def _of_text(action: argparse.Action, kind: Any, text: str) -> Any:
    """Return the value that a file would hold for the *text* of an environment variable."""
    if action.nargs == 0:
        if text.lower() not in TRUTH:
            raise ValueError
        return TRUTH[text.lower()]
    if action.nargs == "?" and text.lower() in TRUTH:
        return TRUTH[text.lower()]
    return kind(text) if kind in NUMBERS else text


def _converted(action: argparse.Action, kind: Any, value: Any) -> Any:
    """Return *value* as argparse would give it; raise ValueError if the option cannot have it."""
    if isinstance(value, bool):
        if action.nargs not in (0, "?"):
            raise ValueError
        if action.nargs == 0 and action.const is None:  # a flag with an opposite of its own
            return value
        return action.const if value else action.default.value
    if action.nargs == 0 or not isinstance(value, NUMBERS.get(kind, str | int | float)):
        raise ValueError
    if kind not in NUMBERS:
        value = str(value)
        if "\0" in value:
            raise ValueError
    converted = value if kind is None else kind(value)
    if action.choices is not None and converted not in action.choices:
        raise ValueError
    return converted


def _wants(action: argparse.Action) -> str:
    """Return in words what values an option takes."""
    if action.nargs == 0:
        return "true or false"
    if action.choices is not None:
        return " or ".join(map(str, action.choices))
    return {int: "a whole number", float: "a number"}.get(action.type, "text")  # type: ignore[call-overload, no-any-return]
