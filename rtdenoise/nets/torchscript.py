"""The door to torch: a TorchScript file becomes a `Generator`, a `Net` of numpy arrays.

The file holds a module with these two methods, and its card as the extra file `card.json`:

    def initial_state(self, channels: int) -> Tensor                        # (C, S) float32
    def forward(self, windows: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]
        # windows (C, T, N) -> (C, T, N); state (C, S) -> (C, S), all that the net remembers

Since torch 2.11, TorchScript raises DeprecationWarnings. They are silenced here and in the export
of train/, and nowhere else, so that another runtime can replace it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio import Samples
from ..core.stream import Stream
from ..errors import ModelError
from .archive import Archive, damaged
from .card import Card, weights_sha256
from .net import Windows, check_contract, windows_of


def prepare_thread() -> None:
    """Set up torch in the calling thread for good: no worker threads, no denormals.

    Threads do not inherit `set_num_threads`. Without it, torch starts workers for every thread,
    and a hop in PortAudio's thread takes 15.6 ms instead of 0.5. Denormals are flushed to zero,
    because on some machines a decaying tail can otherwise cost 100 times a normal hop; the flag is
    one of the thread's registers.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the context, then restore the caller's setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Generator:
    """A `Net` that runs a TorchScript module.

    Args:
        module: The module, with the two methods of the contract.
        card: The facts about the net.

    Raises:
        ModelError: If the card's windows do not add up to one.
    """

    holds_state = False

    def __init__(self, module: Any, card: Card) -> None:
        self.card = card
        self.analysis, self.synthesis = windows_of(card)
        self._module = module

    def begin(self, stream: Stream) -> Generator:
        """See `Net.begin`."""
        return self

    def initial_state(self, channels: int) -> Samples:
        """See `Net.initial_state`."""
        with one_thread(), torch.inference_mode():
            return np.array(self._module.initial_state(channels).numpy())

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """See `Net.__call__`."""
        with torch.inference_mode():  # it is set per thread, and costs 1.2 us
            y, after = self._module(torch.from_numpy(windows), torch.from_numpy(state))
            return y.numpy(), after.numpy()

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`."""
        return one_thread()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of all parameters and buffers by name, for fine-tuning."""
        return {name: value.numpy().copy() for name, value in self._module.state_dict().items()}


class Script:
    """A module whose methods take and return numpy arrays; its memory may be within it.

    Args:
        module: The module of TorchScript.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def copy(self) -> Script:
        """Return a module with the same weights, and a memory of its own that begins as this."""
        twin = deepcopy(self._module)
        for own, shared in zip(twin.parameters(), self._module.parameters(), strict=True):
            own.data = shared.data  # weights do not change, and may be large
        return Script(twin)

    def has(self, method: str) -> bool:
        """Return whether the module has a method called *method*."""
        return hasattr(self._module, method)

    def call(self, method: str, *values: Any) -> Any:
        """Call *method* with *values*: arrays become tensors, and a tensor returns as an array."""
        given = [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in values]
        with torch.inference_mode():
            result = getattr(self._module, method)(*given)
        return result.numpy() if isinstance(result, torch.Tensor) else result

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`."""
        return one_thread()

    @property
    def parameters(self) -> int:
        """How many trained parameters the module has."""
        return sum(int(parameter.numel()) for parameter in self._module.parameters())


def script(archive: Archive) -> Script:
    """Return the module of *archive*, after the check of all that it could do.

    Raises:
        ModelError: If it is not TorchScript, or could do more than compute.
    """
    module = _open(archive)
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return Script(module)


@cache
def _operators() -> frozenset[str]:
    """Return the names of all operators that this torch has, without their namespaces."""
    schemas: Any = torch._C._jit_get_all_schemas()
    return frozenset(schema.name.partition("::")[2] for schema in schemas)


def _open(archive: Archive) -> Any:
    """Return the module of a file, after the check of all that it could do."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
            return torch.jit.load(archive.checked(_operators()), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        if isinstance(error, ModelError):
            raise
        raise damaged(archive.path, error) from None


def load(path: str | Path) -> Generator:
    """Load a TorchScript file and check that it obeys the contract.

    Nothing in the file runs before all of it was checked; docs/models-from-strangers.md says what
    that promises. All of it runs on one thread. torch would otherwise start a pool of workers,
    which do not live on in a forked child, where the next call of torch would wait for them for
    ever.

    Raises:
        ModelError: If there is no such file, it is not TorchScript, it could do more than compute,
            it has no card or a wrong one, its weights do not match the card, or its methods break
            the contract.
    """
    with one_thread():
        return _load(Archive(Path(path)))


def _load(archive: Archive) -> Generator:
    """Load the module of *archive*; see `load`."""
    card, module = archive.card, _open(archive)
    module.eval()
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    if (digest := weights_sha256(weights)) != card.sha256:
        raise ModelError(
            f"{archive.path}: the weights are not those of the card (sha256 {digest[:12]}, card "
            f"{card.sha256[:12]}). The file was changed or damaged: fetch or export it again."
        )
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    if not hasattr(module, "initial_state"):
        raise ModelError(
            f"{archive.path} breaks the contract: it has no exported initial_state(channels) -> "
            "(C, S). Decorate the method with @torch.jit.export."
        )
    net = Generator(module, card)
    check_contract(net, archive.path)
    return net
