"""The door to torch: a generator file becomes a `Generator`, a plain function of numpy arrays.

The contract, a TorchScript module in one file with its card as the extra file `card.json`:

    def initial_state(self, channels: int) -> Tensor                        # (C, S) float32
    def forward(self, windows: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]
        # windows (C, T, N) -> (C, T, N); state (C, S) -> (C, S): everything the net remembers

TorchScript raises DeprecationWarnings since torch 2.11. They are silenced here and in
train/export.py and nowhere else, so that another runtime can replace it behind this door.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio import Samples
from ..core.overlap import ripple, window
from ..errors import ModelError
from .card import EXTRA_FILE, Card, weights_sha256

Windows = NDArray[np.float32]  # (channels, T, N)
WARM_UP_HOPS = 20  # the first two calls of a TorchScript module take 45 and 3 ms: it profiles


def prepare_thread() -> None:
    """Make torch behave in the calling thread, for good. The first thing a thread of ours does.

    One thread of its own: `set_num_threads` on the main thread is not inherited, and without it a
    hop in PortAudio's thread takes 15.6 ms instead of 0.5 (it builds a team of workers). Denormals
    are flushed because a decaying tail can otherwise cost 100 times a normal hop on some machines;
    the flag lives in a register of the thread.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block on one torch thread, then give the caller his own setting back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Generator:
    """A net that obeys the contract, with its card. Has no state of its own: threads may share it.

    Attributes:
        card: What it is.
        analysis: The window (N,) the host applies before it.
        synthesis: The window (N,) the host applies after it.
    """

    def __init__(self, module: Any, card: Card) -> None:
        self.card = card
        self.analysis = window(card.analysis_window, card.window)
        self.synthesis = window(card.synthesis_window, card.window)
        if (off := ripple(self.analysis, self.synthesis, card.hop)) > 1e-4:
            raise ModelError(
                f"model {card.name!r}: {card.analysis_window} before and {card.synthesis_window} "
                f"after, every {card.hop} of {card.window} samples, do not add up to one (off by "
                f"{off:.3g}). Try sqrt_hann twice, or rect and hann, with hop = window / 2."
            )
        self._module = module

    def initial_state(self, channels: int) -> Samples:
        """The state (C, S) of a net that has heard nothing."""
        with torch.inference_mode():
            return np.array(self._module.initial_state(channels).numpy(), np.float32)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """Run T windows (C, T, N) in time order; returns them processed, and the new state."""
        with torch.inference_mode():  # thread-local, 1.2 us
            y, after = self._module(torch.from_numpy(windows), torch.from_numpy(state))
            return y.numpy(), after.numpy()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of all parameters and buffers by name, to go on training from them."""
        return {name: value.numpy().copy() for name, value in self._module.state_dict().items()}

    def warm_up(self, channels: int) -> None:
        """Run it until it is as fast as it will be, at the shape of the live callback."""
        state = self.initial_state(channels)
        silence = np.zeros((channels, 1, self.card.window), np.float32)
        for _ in range(WARM_UP_HOPS):
            _, state = self(silence, state)


def _open(path: Path) -> tuple[Any, str]:
    """The module of a file, and the text of its card."""
    extra = {EXTRA_FILE: ""}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
            module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise ModelError(
            f"{path} is not a TorchScript file, or it is damaged ({reason}). Wanted: a file made "
            "by `python -m train export`, or torch.jit.save(..., _extra_files={'card.json': ..})."
        ) from None
    if not extra[EXTRA_FILE]:
        raise ModelError(
            f"{path} has no card. Save it with _extra_files={{'{EXTRA_FILE}': card.to_json()}}; "
            "rtdenoise.Card lists the fields."
        )
    return module, extra[EXTRA_FILE]


def load(path: str | Path) -> Generator:
    """Load a generator file and prove that it obeys the contract.

    Raises:
        ModelError: no such file, not TorchScript, no card or a wrong one, weights that do not
            match the card, or a forward that breaks the contract. It says which.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no model file {path}. `rtdenoise models` lists the names in the box.")
    module, text = _open(path)
    card = Card.from_json(text)
    module.eval()
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    if (found := weights_sha256(weights)) != card.sha256:
        raise ModelError(
            f"{path}: the weights are not those of the card (sha256 {found[:12]}, card "
            f"{card.sha256[:12]}). The file was changed or damaged: fetch or export it again."
        )
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    generator = Generator(module, card)
    _check_contract(generator, module, path)
    return generator


def _check_contract(generator: Generator, module: Any, path: Path) -> None:
    """Call the net once in each of the shapes the host will use."""
    card = generator.card
    if not hasattr(module, "initial_state"):
        raise ModelError(
            f"{path} breaks the contract: it has no exported initial_state(channels) -> (C, S). "
            "Decorate the method with @torch.jit.export."
        )
    for channels, count in ((1, 1), (2, 3)):
        try:
            state = generator.initial_state(channels)
            silence = np.zeros((channels, count, card.window), np.float32)
            windows, after = generator(silence, state)
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{path} breaks the contract: forward(windows ({channels}, {count}, "
                f"{card.window}), state) failed: {str(error).strip().splitlines()[-1]}"
            ) from None
        fits = windows.shape == silence.shape and after.shape == state.shape
        floats = windows.dtype == after.dtype == np.float32
        if not (fits and floats) or state.ndim != 2 or state.shape[0] != channels:
            raise ModelError(
                f"{path} breaks the contract: wanted windows {silence.shape} and state "
                f"({channels}, S) of float32, got {windows.shape} {windows.dtype} and "
                f"{after.shape} {after.dtype} from an initial state {state.shape}"
            )


BOX = Path(__file__).parents[1] / "models"


def models() -> list[str]:
    """Names of the generators in the box."""
    return sorted(file.stem for file in BOX.glob("*.pt"))


def find(name: str | Path) -> Generator:
    """Load a generator by its name in the box, or by its path.

    Raises:
        ModelError: neither; the message lists the names.
    """
    if str(name) in models():
        return load(BOX / f"{name}.pt")
    if Path(name).suffix or Path(name).exists():
        return load(name)
    raise ModelError(
        f"no model {str(name)!r}. In the box: {', '.join(models()) or 'none'}. "
        "Your own: give its path, -m path/to/net.pt"
    )
