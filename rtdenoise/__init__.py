"""Real-time streaming audio restoration: one processor for live sound, files and effect chains.

    rtdenoise live --in mic --out speakers        rtdenoise file in.wav
    rtdenoise.Denoise("speech")(audio, sample_rate)

Importing this package loads neither torch nor numba nor pedalboard: names come when first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_HOMES = {
    "AudioError": "errors",
    "Board": "chain.board",
    "Card": "nets.card",
    "Denoise": "chain.effect",
    "DeviceError": "errors",
    "Effect": "chain.effect",
    "Generator": "nets.torchscript",
    "Line": "nets.line",
    "Live": "live.live",
    "Mix": "chain.board",
    "ModelError": "errors",
    "RtdenoiseError": "errors",
    "Strength": "nets.line",
    "UsageError": "errors",
    "load": "nets.torchscript",
}
__all__ = list(_HOMES)

try:
    __version__ = version("rtdenoise")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rtdenoise' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
