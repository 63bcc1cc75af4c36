"""The generator contract: what the host asks of a net, whatever runtime it runs in.

A runtime is one file beside this one with a `load(path) -> Net`, and a line in `box.RUNTIMES`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..core.overlap import ripple, window
from ..errors import ModelError, last_line
from .card import Card

Windows = NDArray[np.float32]  # (channels, T, N)
WARM_UP_HOPS = 20  # the first two calls of a TorchScript module take 45 and 3 ms: it profiles


class Net(Protocol):
    """A net that obeys the contract, with its card. It has no state: threads may share it.

    Attributes:
        card: What the net is.
        analysis: The window (N,) that the host applies before the net.
        synthesis: The window (N,) that the host applies after the net.
    """

    card: Card
    analysis: NDArray[np.float32]
    synthesis: NDArray[np.float32]

    def initial_state(self, channels: int) -> Samples:
        """The state (C, S) of a net that was given nothing yet."""
        ...

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """Run T windows (C, T, N) in time order; returns them processed, and the new state.

        Any exception means that the net failed; the caller gives the dry signal.
        """
        ...

    def prepare_thread(self) -> None:
        """Make the runtime behave in the calling thread, for good: one thread, no denormals.

        The first thing that a thread of ours does.
        """
        ...

    def one_thread(self) -> AbstractContextManager[None]:
        """Run a block on one thread of the runtime, then give the caller's setting back.

        For calls from a thread that belongs to somebody else.
        """
        ...


def windows_of(card: Card) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The analysis and the synthesis window (N,) that *card* names.

    Raises:
        ModelError: they do not add up to one.
    """
    analysis = window(card.analysis_window, card.window)
    synthesis = window(card.synthesis_window, card.window)
    if (off := ripple(analysis, synthesis, card.hop)) > 1e-4:
        raise ModelError(
            f"model {card.name!r}: {card.analysis_window} before and {card.synthesis_window} "
            f"after, every {card.hop} of {card.window} samples, do not add up to one (off by "
            f"{off:.3g}). Try sqrt_hann twice, or rect and hann, with hop = window / 2."
        )
    return analysis, synthesis


def warm_up(net: Net, channels: int) -> None:
    """Run *net* until it is as fast as it will be, at the shape of the live callback."""
    state = net.initial_state(channels)
    silence = np.zeros((channels, 1, net.card.window), np.float32)
    for _ in range(WARM_UP_HOPS):
        _, state = net(silence, state)


def check_contract(net: Net, path: Path) -> None:
    """Call *net*, the content of *path*, once in each of the shapes the host will use.

    Raises:
        ModelError: it raises, or gives other shapes or types than the contract says.
    """
    for channels, count in ((1, 1), (2, 3)):
        silence = np.zeros((channels, count, net.card.window), np.float32)
        try:
            state = net.initial_state(channels)
            windows, after = net(silence, state)
        except Exception as error:  # a stranger's code in a runtime of its own: any type may come
            raise ModelError(
                f"{path} breaks the contract: forward(windows {silence.shape}, state) failed: "
                f"{last_line(error)}"
            ) from None
        fits = windows.shape == silence.shape and after.shape == state.shape
        floats = windows.dtype == after.dtype == np.float32
        if not (fits and floats) or state.ndim != 2 or state.shape[0] != channels:
            raise ModelError(
                f"{path} breaks the contract: wanted windows {silence.shape} and state "
                f"({channels}, S) of float32, got {windows.shape} {windows.dtype} and "
                f"{after.shape} {after.dtype} from an initial state {state.shape}"
            )
