"""The door to torch: a TorchScript file becomes a `Generator`, a plain function of numpy arrays.

The contract, a TorchScript module in one file with its card as the extra file `card.json`:

    def initial_state(self, channels: int) -> Tensor                        # (C, S) float32
    def forward(self, windows: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]
        # windows (C, T, N) -> (C, T, N); state (C, S) -> (C, S): everything the net remembers

TorchScript raises DeprecationWarnings since torch 2.11. They are silenced here and in the export
of train/ and nowhere else, so that another runtime can replace it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio import Samples
from ..errors import ModelError
from .card import EXTRA_FILE, Card, weights_sha256
from .net import Windows, check_contract, windows_of


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
    """Run the block on one torch thread, then give the caller's own setting back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Generator:
    """A TorchScript module with its card: a `Net`.

    Raises:
        ModelError: the card's windows do not add up to one.
    """

    def __init__(self, module: Any, card: Card) -> None:
        self.card = card
        self.analysis, self.synthesis = windows_of(card)
        self._module = module

    def initial_state(self, channels: int) -> Samples:
        """See `Net.initial_state`."""
        with torch.inference_mode():
            return np.array(self._module.initial_state(channels).numpy(), np.float32)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """See `Net.__call__`."""
        with torch.inference_mode():  # thread-local, 1.2 us
            y, after = self._module(torch.from_numpy(windows), torch.from_numpy(state))
            return y.numpy(), after.numpy()

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`."""
        return one_thread()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of all parameters and buffers by name, to go on training from them."""
        return {name: value.numpy().copy() for name, value in self._module.state_dict().items()}


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
        raise ModelError(f"no model file {path}; the models in the box have names without a path")
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
    if not hasattr(module, "initial_state"):
        raise ModelError(
            f"{path} breaks the contract: it has no exported initial_state(channels) -> (C, S). "
            "Decorate the method with @torch.jit.export."
        )
    generator = Generator(module, card)
    check_contract(generator, path)
    return generator
