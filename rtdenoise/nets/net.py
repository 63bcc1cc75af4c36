"""The contract: what the host asks of a net, whatever runtime it runs in.

A runtime is one file in this room with a function `load(path) -> Net`, and a line in
`box.RUNTIMES`. Nets that come with a package, and not as a file, are in `makers.MAKERS`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..core.overlap import ripple, window
from ..core.stream import Stream
from ..errors import ModelError, last_line
from .card import Card

Windows = NDArray[np.float32]  # (channels, T, N)
FLOAT = np.dtype(np.float32)
MOST_STATE = 1 << 24  # values a channel, 67 MB
WARM_UP_HOPS = 20  # TorchScript profiles the first two calls, which take 45 and 3 ms


class Net(Protocol):
    """A net that obeys the contract, with its card; threads may share it.

    Attributes:
        holds_state: Whether what `begin` returns remembers its stream in itself, and not in the
            state. It then gets one window a call, because no call of it can be repeated, and
            `initial_state` makes it forget the stream.
        card: The facts about the net.
        analysis: Window (N,) float32 that the host applies before the net.
        synthesis: Window (N,) float32 that the host applies after the net.
    """

    holds_state: bool
    card: Card
    analysis: NDArray[np.float32]
    synthesis: NDArray[np.float32]

    def begin(self, stream: Stream) -> Net:
        """Return the net for one stream: a new one if it holds state, and otherwise itself."""
        ...

    def initial_state(self, channels: int) -> Samples:
        """Return the state (C, S) float32 with which a stream begins."""
        ...

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """Process T windows in the order of time.

        Args:
            windows: Windowed samples (C, T, N) float32.
            state: The state (C, S) float32 that the last call returned.

        Returns:
            The processed windows, and the state for the next call.

        Any exception means that the net failed, and the caller gives the dry signal.
        """
        ...

    def prepare_thread(self) -> None:
        """Set up the runtime in the calling thread for good: no worker threads, no denormals.

        Every thread of the host calls this before anything else.
        """
        ...

    def one_thread(self) -> AbstractContextManager[None]:
        """Return a context in which the runtime uses one thread; leaving it restores the setting.

        It is for calls from a thread that does not belong to the host.
        """
        ...


def windows_of(card: Card) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the analysis and the synthesis window (N,) that *card* names.

    Raises:
        ModelError: If the product of the windows does not overlap-add to one.
    """
    analysis = window(card.analysis_window, card.window)
    synthesis = window(card.synthesis_window, card.window)
    if (off := ripple(analysis, synthesis, card.hop)) > 1e-4:
        raise ModelError(
            f"model {card.name!r}: the windows {card.analysis_window} and {card.synthesis_window} "
            f"of {card.window} samples, every {card.hop}, do not add up to one (they are off by "
            f"{off:.3g}). Use sqrt_hann twice, or rect and hann, with hop = window / 2."
        )
    return analysis, synthesis


def twin(net: Net) -> Net:
    """Return *net*, or the same model with parameters of its own if it has any."""
    make = getattr(net, "twin", None)
    return net if make is None else make()


def warm_up(net: Net, channels: int) -> None:
    """Run *net* on single hops of silence, as live, until its runtime has optimised it."""
    net = net.begin(Stream(net.card.sample_rate, channels))
    state = net.initial_state(channels)
    silence = np.zeros((channels, 1, net.card.window), np.float32)
    for _ in range(WARM_UP_HOPS):
        _, state = net(silence, state)


def check_state(state: Any, channels: int) -> None:
    """Check the initial state that a net gave for *channels* channels.

    Raises:
        ModelError: If it is none of the shape (channels, S), not float32, too large or not finite.
    """
    shaped = isinstance(state, np.ndarray) and state.ndim == 2 and state.shape[0] == channels
    if not shaped or state.dtype != FLOAT:
        raise ModelError(f"wanted an initial state ({channels}, S) of float32, got {_told(state)}")
    if state.shape[1] > MOST_STATE:
        raise ModelError(f"its state has {state.shape[1]} values, wanted at most {MOST_STATE}")
    if not np.isfinite(state).all():
        raise ModelError("its initial state has NaN or infinity")


def check_answer(windows: Windows, state: Samples, out: Any, after: Any) -> None:
    """Check the answer *out*, *after* of a net to *windows*, *state*: the shapes and the types.

    A kernel does not check them: it would read beyond the end of a smaller array. This costs 1 us,
    so that every answer is checked. The layout is free, because the kernels follow the strides.

    Raises:
        ModelError: If the shape or the type of either is not that of the question.
    """
    arrays = isinstance(out, np.ndarray) and isinstance(after, np.ndarray)
    if (
        arrays
        and out.shape == windows.shape
        and after.shape == state.shape
        and out.dtype == after.dtype == FLOAT
    ):
        return
    raise ModelError(
        f"wanted windows {windows.shape} and state {state.shape} of float32, got {_told(out)} and "
        f"{_told(after)}"
    )


def _told(value: object) -> str:
    """Return the shape and type of an array, or the type of something else."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    return type(value).__name__


def check_contract(net: Net, path: Path) -> None:
    """Call *net*, loaded from *path*, once with each kind of shape that the host will use.

    Raises:
        ModelError: If the net raises, or gives shapes or types that break the contract.
    """
    for channels, count in ((1, 1), (2, 3)):
        silence = np.zeros((channels, count, net.card.window), np.float32)
        try:
            state = net.initial_state(channels)
            check_state(state, channels)
            windows, after = net(silence, state)
            check_answer(silence, state, windows, after)
        except ModelError as error:
            raise ModelError(f"{path} breaks the contract: {error}") from None
        except Exception as error:  # a net may raise anything
            raise ModelError(
                f"{path} breaks the contract: forward(windows {silence.shape}, state) failed: "
                f"{last_line(error)}"
            ) from None
