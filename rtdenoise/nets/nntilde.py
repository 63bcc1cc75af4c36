"""Models of nn~ (`.ts`, for Max and Pure Data, as RAVE exports them): TorchScript with a register.

The register is in buffers of the module. `forward_params` says that there is a method `forward`,
and holds its channels in, ratio in, channels out and ratio out: a ratio of 512 means that the
method takes or gives every 512th sample. `gain_params` says of an attribute `gain` the types of its
values. The file says neither a sample rate (newer ones may) nor by how much the model is late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..errors import ModelError, UsageError, printable
from .archive import Archive
from .facts import Facts, Knob, named
from .pickles import Numbers

if TYPE_CHECKING:
    from .torchscript import Script

PARAMS = "_params"
KINDS = (bool, int, float, str)  # by the number in the register; others are tensors and buffers
RATES = ("sr", "sampling_rate", "sample_rate")  # attributes that have the sample rate, if any
USUAL = 512  # samples a call, if no method needs more
LATE = Knob(
    "delay_samples", 0.0, 0.0, 48_000.0,
    "samples by which the model is late: its file does not say; `verify` measures it",
)  # fmt: skip


def form(archive: Archive) -> Tilde | None:
    """Return the form of *archive*, or None if it has no register of methods.

    Raises:
        ModelError: If the register is damaged.
    """
    values = archive.root().values
    register = {
        key.removesuffix(PARAMS): [int(number) for number in archive.numbers(value)]
        for key, value in values.items()
        if key.endswith(PARAMS) and isinstance(value, Numbers) and value.kind == "LongStorage"
    }
    methods = {
        name: numbers
        for name, numbers in register.items()
        if len(numbers) == 4 and name not in values and name in values.get("_methods", register)
    }
    if not methods:
        return None
    try:
        knobs = [
            knob for name in register if name in values for knob in _knobs(name, values, register)
        ]
        return Tilde(archive.path.stem, methods, knobs, _rates(archive, values))
    except (TypeError, ValueError, IndexError) as error:
        raise ModelError(f"{archive.path}: its register is damaged ({error})") from None


class Tilde:
    """A model of nn~; see `foreign.Form`.

    Args:
        name: Name of the model.
        methods: The register of the methods.
        knobs: The parameters, and the attribute and place of each.
        rates: The sample rate, if the file says one.
    """

    def __init__(
        self,
        name: str,
        methods: Mapping[str, list[int]],
        knobs: list[tuple[Knob, str, type]],
        rates: tuple[int, ...],
    ) -> None:
        self._methods, self._knobs = methods, knobs
        if any(not 1 <= value <= 1 << 20 for numbers in methods.values() for value in numbers):
            raise ModelError(f"{name}: its register has channels or ratios that no method can have")
        ratio = max(max(numbers[1], numbers[3]) for numbers in methods.values())
        usual = "forward" if "forward" in methods else next(iter(methods))
        told = f"of {', '.join(methods)}; for streams that begin after it was set"
        self.facts = Facts(
            form="nn~",
            name=printable(name),
            description=f"Methods: {', '.join(map(printable, methods))}.",
            rates=rates,
            sizes=(-(-USUAL // ratio) * ratio,),
            knobs=(*(knob for knob, _, _ in knobs), Knob("method", usual, meaning=told), LATE),
        )

    def player(
        self, script: Script, rate: int, size: int, values: Mapping[str, Any]
    ) -> tuple[_Player, int, int]:
        """See `foreign.Form.player`."""
        method = values["method"]
        if method not in self._methods:
            known = ", ".join(self._methods)
            raise UsageError(f"{self.facts.name} has no method {method!r}; known: {known}")
        inputs, _, outputs, _ = self._methods[method]
        player = _Player(script, rate, method, self._methods[method], self._knobs)
        player.set(values)
        return player, inputs, outputs

    def late(self, player: _Player, values: Mapping[str, Any]) -> int:
        """See `foreign.Form.late`."""
        return int(values[LATE.name])


class _Player:
    """A copy of the model; see `foreign.Player`."""

    def __init__(
        self,
        new: Script,
        rate: int,
        method: str,
        numbers: list[int],
        knobs: list[tuple[Knob, str, type]],
    ) -> None:
        self._new, self._rate, self._method, self._knobs = new, rate, method, knobs
        _, self._every, _, self._times = numbers
        self._values: Mapping[str, Any] = {}
        self.begin()

    def begin(self) -> None:
        """See `foreign.Player.begin`."""
        self._script = self._new.copy()
        if self._script.has("set_sample_rate"):
            self._script.call("set_sample_rate", self._rate)
        self._given: dict[str, list[Any]] = {}
        if self._values:
            self.set(self._values)

    def set(self, values: Mapping[str, Any]) -> None:
        """See `foreign.Player.set`.

        Raises:
            UsageError: If the model refuses a value.
        """
        self._values = values
        wanted: dict[str, list[Any]] = {}
        for knob, attribute, kind in self._knobs:
            value = values[knob.name]
            wanted.setdefault(attribute, []).append(round(value) if kind is int else kind(value))
        for attribute, parts in wanted.items():
            if self._given.get(attribute) != parts:
                self._given[attribute] = parts
                if self._script.call(f"set_{attribute}", *parts) not in (0, None):
                    raise UsageError(f"the model refuses {attribute} = {parts}")

    def __call__(self, block: Samples) -> NDArray[np.float32]:
        """See `foreign.Player.__call__`."""
        given = np.ascontiguousarray(block[None, :, self._every - 1 :: self._every])
        answer = self._script.call(self._method, given)
        out: NDArray[np.float32] = np.repeat(answer[0], self._times, axis=1)
        return out


def _knobs(
    name: str, values: Mapping[str, Any], register: Mapping[str, list[int]]
) -> Iterator[tuple[Knob, str, type]]:
    """Yield the parameters that the values of the attribute *name* are, with its name and type."""
    held, kinds = values[name], register[name]
    if not isinstance(held, tuple) or len(held) != len(kinds) or not re.fullmatch(r"\w+", name):
        return
    if not all(0 <= kind < len(KINDS) for kind in kinds):  # tensors and buffers are no numbers
        return
    for at, (value, kind) in enumerate(zip(held, kinds, strict=True), 1):
        own = named(name, "attribute") + (f"_{at}" if len(held) > 1 else "")
        plain = KINDS[kind](value)
        default = printable(plain) if isinstance(plain, str) else plain
        yield Knob(own, default, meaning=f"attribute of {KINDS[kind].__name__}"), name, KINDS[kind]


def _rates(archive: Archive, values: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the sample rate that the file says, or none."""
    for name in RATES:
        value = values.get(name)
        if isinstance(value, Numbers) and value.kind == "LongStorage":
            value = int(archive.numbers(value)[0])
        if type(value) is int and 1_000 <= value <= 384_000:
            return (value,)
    return ()
