"""What a model of another host's form says of itself, read without running it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .card import Card

USUAL_HZ, USUAL_S = 48_000, 512 / 48_000  # the hop of most models in the box


class Knob(NamedTuple):
    """A parameter of a model.

    Attributes:
        name: Name in lower case, with _ for all but letters and digits.
        default: Value when nobody sets one.
        low: Smallest value. None: the value is no number, or the model does not say.
        high: Largest value.
        meaning: What the value does, as the model says.
    """

    name: str
    default: float | bool | str
    low: float | None = None
    high: float | None = None
    meaning: str = ""


@dataclass(frozen=True)
class Facts:
    """What a model says of itself, read without running it.

    Attributes:
        form: The form of the file, for people.
        name: Name of the model.
        description: What it does.
        rates: Sample rates in Hz that it can work at. Empty: any.
        sizes: Buffer sizes in samples that it can take. Empty: any.
        knobs: Its parameters.
        versions: Versions of the programs that made it.
        made_by: Its authors.
    """

    form: str
    name: str
    description: str
    rates: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    knobs: tuple[Knob, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    made_by: str = "not said"

    def rate(self, wanted: int) -> int:
        """Return the rate at which the model works in a stream of *wanted* Hz: the nearest."""
        return min(self.rates, key=lambda hz: abs(hz - wanted), default=wanted)

    def size(self, rate: int) -> int:
        """Return the buffer size at *rate* Hz: that which is nearest to the usual hop."""
        usual = USUAL_S * rate
        return min(self.sizes, key=lambda size: (abs(size - usual), size), default=round(usual))

    def card(self, rate: int = USUAL_HZ, parameters: int = 0, late: int = 0) -> Card:
        """Return the card of the model as it works in a stream of *rate* Hz.

        Args:
            rate: Sample rate of the stream in Hz.
            parameters: How many trained parameters it has, which is known when it is loaded.
            late: Samples by which it is late, which is known then, too.
        """
        own = self.rate(rate)
        return Card(
            name=self.name,
            task="effect",
            kind="any",
            sample_rate=own,
            window=self.size(own),
            hop=self.size(own),
            analysis_window="rect",
            synthesis_window="rect",
            lookahead=late,
            parameters=parameters,
            licence="not said",
            sha256="not said",
            versions=dict(self.versions),
            config={"network": self.form, "authors": self.made_by},
            description=self.description,
        )


def named(text: str, other: str) -> str:
    """Return *text* as the name of a parameter; *other* if it has no letter or digit.

    >>> named("Output level (dB)", "p1")
    'output_level_db'
    """
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return words if words and not words[0].isdigit() else f"{other}_{words}".strip("_")
