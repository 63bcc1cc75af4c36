"""`Console`, the desk of a run: what of it may be changed while the sound goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .processing import Processing

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..core.blend import Strength


class Console:
    """The settings of a run that may be read and set at any time.

    Args:
        processing: The effect of the run.
    """

    def __init__(self, processing: Processing) -> None:
        self._processing = processing

    @property
    def effect(self) -> Effect:
        """The effect that runs."""
        return self._processing.inner

    @property
    def model(self) -> str | None:
        """The name of the model that runs. None: the effect is none of a single model."""
        return self._processing.model

    @property
    def board(self) -> list[str] | None:
        """The names of the effects on the board that runs. None: a single model runs."""
        return self._processing.board

    def change(self, effect: Any) -> bool:
        """Change to another effect while the sound goes on, and wait until it is heard.

        The new effect is made and warmed up in this thread. It hears half a second of the input,
        and is then faded in, aligned to the sample. The delay stays, unless the new effect has more
        than the run; then the delay rises to that, once. On an error, the old effect goes on.

        Args:
            effect: The effect, a plugin of pedalboard, the name or path of a model, or the path of
                a board file (.toml). A name, a path and a board take the dry/wet settings of now.

        Returns:
            Whether it is heard. False: no sound comes, and the change is made when it does.

        Raises:
            ModelError: If there is no such model, or it breaks the contract.
            UsageError: If *effect* is no effect, has a plugin that runs already, or fails.
            AudioError: If it cannot process this rate or channel count.
        """
        return self._processing.change(effect)

    def parameters(self) -> list[dict[str, Any]]:
        """Return the parameters of the effects that run, with values, ranges and units.

        Each has the keys `path`, `effect`, `name`, `value`, `least`, `most`, `unit`, `kind`
        ("float", "bool" or "choice") and `choices`. None as `least` or `most`: it has no limit, or
        the plugin does not publish one.
        """
        return self._processing.parameters()

    def set(self, path: str, value: Any) -> Any:
        """Set a parameter while the sound goes on, and return its value.

        Args:
            path: Where it is, as `1/threshold_db`; see `parameters`.
            value: A number, a truth value, or the name of a choice.

        Raises:
            UsageError: If there is no such parameter (the message lists them), or it cannot have
                this value (the message has the range).
        """
        return self._processing.set(path, value)

    @property
    def strength(self) -> Strength:
        """The dry/wet settings, which may be set at any time; the sound glides to them."""
        return self._processing.strength

    @strength.setter
    def strength(self, value: Strength) -> None:
        self._processing.strength = value

    @property
    def mix(self) -> float:
        """The percentage of processed sound in the output, 0 to 100; the rest is the input."""
        return self.strength.mix

    @mix.setter
    def mix(self, value: float) -> None:
        self.strength = replace(self.strength, mix=value)

    @property
    def atten_lim_db(self) -> float | None:
        """The most that is removed, in dB. None: no limit."""
        return self.strength.atten_lim_db

    @atten_lim_db.setter
    def atten_lim_db(self, value: float | None) -> None:
        self.strength = replace(self.strength, atten_lim_db=value)

    @property
    def residual(self) -> bool:
        """Whether the output is what was removed, instead of what was kept."""
        return self.strength.residual

    @residual.setter
    def residual(self, value: bool) -> None:
        self.strength = replace(self.strength, residual=value)

    @property
    def bypass(self) -> bool:
        """Whether the output is the aligned input; the sound glides between both."""
        return self._processing.bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._processing.bypass = value
