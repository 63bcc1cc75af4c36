"""The door to ONNX Runtime: an ONNX file becomes a `Net` of numpy arrays; torch is not needed.

The graph has two inputs and two outputs, and its card as the metadata `card.json`:

    windows (C, T, N) float32, state (C, S) float32
        -> restored windows (C, T, N) float32, state (C, S) float32

C and T are free, and N and S are numbers. The state of a stream begins with zeros.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..core.kernels import flush_denormals
from ..core.stream import Stream
from ..errors import ModelError, last_line
from .card import Card
from .graph import Graph, needed
from .net import MOST_STATE, Windows, check_contract, windows_of

FATAL = 4  # the messages of ONNX Runtime that are printed: errors come as exceptions
# Spinning threads would take the time of others; there are none, but the default is to spin.
ENTRIES = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}


class Session:
    """A `Net` that runs in ONNX Runtime, in the thread that calls it.

    Args:
        session: The `onnxruntime.InferenceSession`.
        card: The facts about the net.

    Raises:
        ModelError: If the card's windows do not add up to one, or the inputs are others.
    """

    holds_state = False

    def __init__(self, session: Any, card: Card) -> None:
        self.card = card
        self.analysis, self.synthesis = windows_of(card)
        self._session = session
        self._size = _state_size(session)

    def begin(self, stream: Stream) -> Session:
        """See `Net.begin`."""
        return self

    def initial_state(self, channels: int) -> Samples:
        """See `Net.initial_state`."""
        return np.zeros((channels, self._size), np.float32)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """See `Net.__call__`."""
        y, after = self._session.run(None, {"windows": windows, "state": state})
        return y, after

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        flush_denormals()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`. A session never uses another thread."""
        return nullcontext()


def load(path: str | Path) -> Session:
    """Load an ONNX file and check that it obeys the contract.

    Nothing of the file runs before all of it was checked; docs/models-from-strangers.md says what
    that promises.

    Raises:
        ModelError: If there is no such file, it is no ONNX file, it has no card or a wrong one, it
            needs more than itself, its weights do not match the card, it breaks the contract, or
            onnx or onnxruntime is not installed.
    """
    graph = Graph(Path(path))
    ort = needed("onnxruntime", graph.path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL
    for name, value in ENTRIES.items():
        options.add_session_config_entry(name, value)
    checked = graph.checked()
    try:
        session = ort.InferenceSession(checked, options, providers=["CPUExecutionProvider"])
        net = Session(session, graph.card)
    except ModelError as error:
        raise ModelError(f"{graph.path} breaks the contract: {error}") from None
    except Exception as error:  # ONNX Runtime has a class for each of its codes
        raise ModelError(
            f"{graph.path} cannot run in ONNX Runtime {ort.__version__}: {last_line(error)}"
        ) from None
    check_contract(net, graph.path)
    return net


def _state_size(session: Any) -> int:
    """Return S, after a check of the inputs and the number of outputs.

    Raises:
        ModelError: If they are not those of the contract.
    """
    inputs = {each.name: each for each in session.get_inputs()}
    floats = all(each.type == "tensor(float)" for each in inputs.values())
    outputs = len(session.get_outputs())
    if set(inputs) == {"windows", "state"} and floats and outputs == 2:
        shape = inputs["state"].shape
        if len(shape) == 2 and isinstance(shape[1], int) and 0 <= shape[1] <= MOST_STATE:
            return shape[1]
    told = ", ".join(f"{each.name[:80]} {each.shape} {each.type}" for each in inputs.values())
    raise ModelError(
        "wanted the inputs windows (C, T, N) and state (C, S) of float32, where S is a number, and "
        f"two outputs, got {told}, and {outputs} outputs"
    )
