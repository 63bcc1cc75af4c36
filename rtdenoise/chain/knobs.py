"""The parameters of a model as attributes of the effect that runs it.

The models of the box have none. Those of other hosts (`nets/foreign.py`) have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..nets.facts import Knob
from .parameter import Parameter

OWN = ("model", "mix", "atten_lim_db", "residual")  # what every effect with a model has


class Knobbed:
    """A class with a `net`, whose parameters are attributes that may be set at any time.

    A parameter that has the name of something else of the class gets `model_` before it.

    Attributes:
        knobs: The parameters of the model. Empty: it has none.
    """

    @property
    def knobs(self) -> tuple[Parameter, ...]:
        """The parameters of the model, for boards and panels."""
        return tuple(
            Parameter(name, k.default, k.low, k.high, meaning=k.meaning)
            for name, k in self._named().items()
        )

    def _named(self) -> dict[str, Knob]:
        """Return the parameters of the model by the names of the attributes."""
        knobs = getattr(vars(self).get("net", None), "knobs", ())
        taken = {*dir(type(self)), *OWN}
        return {f"model_{k.name}" if k.name in taken else k.name: k for k in knobs}

    def _turn(self, values: Mapping[str, Any]) -> None:
        """Set parameters of the model.

        Raises:
            UsageError: If the model has no such parameter (the message lists them), or refuses the
                value.
        """
        known = {knob.name: knob for knob in self.knobs}
        for name, value in values.items():
            if name not in known:
                told = (f"{n} ({k.range})" if k.range else n for n, k in known.items())
                choices = ", ".join((*OWN, *told))
                raise UsageError(f"{type(self).__name__} has no {name!r}; known: {choices}")
            setattr(self, name, value)

    def _turned(self) -> dict[str, Any]:
        """Return the values of the parameters of the model by their names."""
        return {name: vars(self)["net"].values[knob.name] for name, knob in self._named().items()}

    def __getattr__(self, name: str) -> Any:
        """Return the value of a parameter of the model."""
        if not name.startswith("_") and (knob := self._named().get(name)):
            return vars(self)["net"].values[knob.name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, which may be a parameter of the model."""
        if name.startswith("_") or (knob := self._named().get(name)) is None:
            super().__setattr__(name, value)
            return
        kind = type(knob.default)
        parameter = Parameter(name, knob.default, knob.low, knob.high)
        parameter.check(type(self).__name__, value)
        if kind is str and not isinstance(value, str):
            raise UsageError(f"{type(self).__name__}: {name} = {value!r}: wanted a text")
        vars(self)["net"].set(knob.name, value)
