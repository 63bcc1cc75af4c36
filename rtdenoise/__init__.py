"""Real-time streaming audio restoration: one processor for live sound, files and effect chains.

    rtdenoise live --in mic --out speakers        rtdenoise file in.wav
    rtdenoise.Denoise("speech")(audio, sample_rate)

Importing this package loads neither torch nor numba nor pedalboard: each name is imported when it
is first used.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # type checkers need the imports that __getattr__ makes on first use
    __version__: str
    from .chain.autolevel import AutoLevel as AutoLevel
    from .chain.board import Board as Board, Mix as Mix
    from .chain.effect import Denoise as Denoise, DryWet as DryWet, Effect as Effect
    from .core.blend import Strength as Strength
    from .core.stream import Stream as Stream
    from .errors import (
        AudioError as AudioError,
        DeviceError as DeviceError,
        ModelError as ModelError,
        RtdenoiseError as RtdenoiseError,
        UsageError as UsageError,
    )
    from .live.live import Live as Live
    from .nets.box import load as load
    from .nets.card import Card as Card
    from .nets.line import Line as Line
    from .nets.torchscript import Generator as Generator

_HOMES = {
    "AudioError": "errors",
    "AutoLevel": "chain.autolevel",
    "Board": "chain.board",
    "Card": "nets.card",
    "DryWet": "chain.effect",
    "Denoise": "chain.effect",
    "DeviceError": "errors",
    "Effect": "chain.effect",
    "Generator": "nets.torchscript",
    "Line": "nets.line",
    "Live": "live.live",
    "Mix": "chain.board",
    "ModelError": "errors",
    "RtdenoiseError": "errors",
    "Strength": "core.blend",
    "Stream": "core.stream",
    "UsageError": "errors",
    "load": "nets.box",
}
__all__ = list(_HOMES)


@cache
def _version() -> str:
    """Return the version that is installed; to look for it takes longer than all other imports."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("rtdenoise")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'rtdenoise' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
