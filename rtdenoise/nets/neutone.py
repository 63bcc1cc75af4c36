"""Models of Neutone (`.nm`): TorchScript that neutone_sdk wrote, with `metadata.json` in it.

The module is the SDK's SampleQueueWrapper. It is told that the host has the rate and the buffer of
the model itself, so that its own queues and its resampler (linear) do nothing: ours do that work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..errors import ModelError, printable
from .archive import Archive
from .facts import Facts, Knob, named

if TYPE_CHECKING:
    from .torchscript import Script

METADATA = "metadata.json"
METHODS = ("set_daw_sample_rate_and_buffer_size", "calc_model_delay_samples", "reset")


def form(archive: Archive) -> Neutone | None:
    """Return the form of *archive*, or None if it is none of Neutone.

    Raises:
        ModelError: If the metadata is damaged.
    """
    content = archive.extra(METADATA)
    if content is None:
        return None
    try:
        said = json.loads(content)
        if "is_input_mono" not in said:
            raise ModelError("it is for files, and not for sound while it happens")
        return Neutone(said)
    except ModelError as error:
        raise ModelError(f"{archive.path}: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{archive.path}: its metadata.json is not that of a Neutone model ({error})"
        ) from None


class Neutone:
    """A model of Neutone; see `foreign.Form`.

    Args:
        said: What is in metadata.json.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        described = said["neutone_parameters"]
        each = [described[key] for key in sorted(described, key=lambda key: int(key[1:]))]
        self._knobs: list[Knob | None] = []  # in the order of the model, None where it has none
        for at, one in enumerate(each, 1):
            self._knobs.append(_knob(one, f"p{at}") if one.get("used", True) else None)
        names = [knob.name for knob in self._knobs if knob]
        if len(set(names)) < len(names):
            raise ModelError(f"its parameters {', '.join(names)} do not differ in their letters")
        self._inputs = 1 if said["is_input_mono"] else 2
        self._outputs = 1 if said["is_output_mono"] else 2
        self.facts = Facts(
            form="Neutone",
            name=printable(said["model_name"]),
            description=printable(said["model_short_description"]),
            rates=_whole(said["native_sample_rates"], 1_000, 384_000),
            sizes=_whole(said["native_buffer_sizes"], 1, 1 << 20),
            knobs=tuple(knob for knob in self._knobs if knob),
            versions={
                "neutone_sdk": printable(said["sdk_version"]),
                "torch": printable(said["pytorch_version"]),
            },
            made_by=printable(", ".join(said["model_authors"])),
        )

    def player(
        self, script: Script, rate: int, size: int, values: Mapping[str, Any]
    ) -> tuple[_Player, int, int]:
        """See `foreign.Form.player`."""
        if lacking := [method for method in METHODS if not script.has(method)]:
            raise ModelError(f"{self.facts.name} has no {', '.join(lacking)}: wrap it by the SDK")
        player = _Player(script, self._knobs, rate, size)
        player.set(values)
        return player, self._inputs, self._outputs

    def late(self, player: _Player, values: Mapping[str, Any]) -> int:
        """See `foreign.Form.late`."""
        return int(player.script.call("calc_model_delay_samples"))


class _Player:
    """A copy of the model; see `foreign.Player`."""

    def __init__(self, new: Script, knobs: list[Knob | None], rate: int, size: int) -> None:
        self._new, self._knobs, self._rate, self._size = new, knobs, rate, size
        self._shares = np.repeat(new.call("get_default_param_values"), size, axis=1)
        self.begin()

    def begin(self) -> None:
        """See `foreign.Player.begin`. Many models have no reset, so a copy that is new comes."""
        self.script = self._new.copy()
        rate, size = self._rate, self._size
        self.script.call("set_daw_sample_rate_and_buffer_size", rate, size, rate, size)

    def set(self, values: Mapping[str, Any]) -> None:
        """See `foreign.Player.set`; the model takes shares of the range, 0 to 1."""
        for row, knob in enumerate(self._knobs):
            if knob and knob.low is not None and knob.high is not None:
                self._shares[row] = (values[knob.name] - knob.low) / (knob.high - knob.low)

    def __call__(self, block: Samples) -> NDArray[np.float32]:
        """See `foreign.Player.__call__`."""
        answer: NDArray[np.float32] = self.script.call("forward", block, self._shares)
        return answer


def _knob(one: Mapping[str, Any], other: str) -> Knob:
    """Return a parameter as the metadata describes it."""
    low, high = float(one.get("min_value", 0.0)), float(one.get("max_value", 1.0))
    default = float(one["default_value"])
    if not low <= default <= high or low == high:
        raise ModelError(f"its parameter {other} is {default:g} of {low:g} to {high:g}")
    meaning = printable(one.get("description", ""))
    return Knob(named(one["name"], other), default, low, high, meaning)


def _whole(values: Any, least: int, most: int) -> tuple[int, ...]:
    """Return a list of whole numbers of the metadata, checked."""
    if not all(type(value) is int and least <= value <= most for value in values):
        raise ModelError(f"its metadata has {str(values)[:80]}, wanted numbers {least} to {most}")
    return tuple(values)
