"""Recipes of native plugins, which stand for them in copies and pickles of a board.

pedalboard's plugins can be neither copied nor pickled. A recipe has their class and the values of
their parameters; the plugin that it makes has no sound in it yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from . import native, vst3


@dataclass(frozen=True)
class Recipe:
    """What makes a plugin again.

    Attributes:
        kind: The name of its class in pedalboard; "VST3" for a plugin from a file.
        settings: Values by the names of its parameters; of a VST3, where it is.
        inner: Recipes of the plugins within it. None: it is no container.
        state: The state of a VST3, as text.
    """

    kind: str
    settings: dict[str, Any]
    inner: tuple[Any, ...] | None = None
    state: str = ""

    def plugin(self) -> Any:
        """Return a new plugin."""
        if self.kind == "VST3":
            plugin = vst3.load(self.settings)
            vst3.restore(plugin, self.state)
            return plugin
        kind = native.type_of(self.kind)
        if self.inner is not None:
            return kind([made(part) for part in self.inner])
        return native.make(self.kind, kind, self.settings)


def of(effect: Any) -> Any:
    """Return the recipe of *effect* if it is a native plugin, and otherwise *effect* itself.

    Raises:
        UsageError: If a plugin does not tell what it was made of.
    """
    if not native.is_plugin(effect):
        return effect
    kind = type(effect).__name__
    if native.is_external(effect):
        return Recipe("VST3", vst3.place(effect), state=vst3.state(effect))
    if hasattr(effect, "__iter__"):
        return Recipe(kind, {}, tuple(of(part) for part in effect))
    names = [parameter.name for parameter in native.parameters(type(effect))]
    settings = {name: getattr(effect, name) for name in names if hasattr(effect, name)}
    if settings.get("impulse_response_filename", "") is None:
        raise UsageError(
            f"a {kind} made of an array cannot be copied, because it does not tell the array's "
            "sample rate: make it of a file"
        )
    return Recipe(kind, settings)


def made(effect: Any) -> Any:
    """Return the plugin of a recipe; what is no recipe comes back as it is."""
    return effect.plugin() if isinstance(effect, Recipe) else effect
