"""Models in the forms of other hosts, whose memory is within them: `Foreign` makes nets of them.

Such a model takes the next B samples and gives B samples, late by as many as it says. So it is a
net whose window and hop are both B, without windowing, and `engine` does the rest: blocks of any
size, late hops, NaN. What differs is the memory. It cannot be given to the model with each call. So
each stream gets a copy of the model, and the state that the engine holds only counts its hops: 0
means that the model begins anew.

Each form has a file: `neutone`, `nntilde`. It reads the facts without running the model, and says
how the model is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples, fit_channels
from ..core.stream import Stream
from ..errors import AudioError, ModelError, RtdenoiseError, UsageError, last_line
from . import neutone, nntilde
from .archive import Archive
from .card import EXTRA_FILE
from .facts import USUAL_HZ, Facts, Knob
from .net import Net, Windows, check_answer, windows_of

if TYPE_CHECKING:
    from .torchscript import Script

MOST_HOPS = 1 << 23  # float32 counts one by one that far


class Player(Protocol):
    """A copy of a model that processes the sound of a stream, or one channel of it."""

    def begin(self) -> None:
        """Forget all sound."""
        ...

    def set(self, values: Mapping[str, Any]) -> None:
        """Take the values of the parameters."""
        ...

    def __call__(self, block: Samples) -> NDArray[np.float32]:
        """Return the next block (channels out, B) for *block* (channels in, B)."""
        ...


class Form(Protocol):
    """A kind of model file.

    Attributes:
        facts: What the model says of itself.
    """

    facts: Facts

    def player(
        self, script: Script, rate: int, size: int, values: Mapping[str, Any]
    ) -> tuple[Player, int, int]:
        """Return a player, and the channel counts of its input and its output."""
        ...

    def late(self, player: Any, values: Mapping[str, Any]) -> int:
        """Return the samples by which *player* says that it is late."""
        ...


class Foreign:
    """A model of another host's form: a `Net` of its usual rate, which makes one for each stream.

    Args:
        form: The form of the file, with the facts.
        script: The module. It is not run itself: each stream gets a copy.

    Raises:
        ModelError: If the model cannot process sound, or gives the wrong shape or type.
    """

    holds_state = True

    def __init__(self, form: Form, script: Script) -> None:
        self.form, self.script, self._one_at_a_time = form, script, Lock()
        self._values: dict[str, Any] = {knob.name: knob.default for knob in self.knobs}
        with script.one_thread():
            # A copy that no sound goes through: it tells whether the model refuses a value.
            self._trial, inputs, _ = self.player(self.facts.rate(USUAL_HZ))
            whole = self.begin(Stream(USUAL_HZ, inputs))
            self.card, self.analysis, self.synthesis = whole.card, whole.analysis, whole.synthesis
            silence = np.zeros((inputs, 1, self.card.hop), np.float32)
            state = whole.initial_state(inputs)
            check_answer(silence, state, *whole(silence, state))

    @property
    def facts(self) -> Facts:
        """What the model says of itself."""
        return self.form.facts

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The parameters of the model."""
        return self.facts.knobs

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of the parameters; `set` replaces this, so that a stream sees the change."""
        return self._values

    def set(self, name: str, value: Any) -> None:
        """Set the parameter *name*, also of the streams that run.

        Raises:
            UsageError: If the model refuses the value.
        """
        values = self._values | {name: value}
        with self._one_at_a_time, self.script.one_thread():
            self._trial.set(values)
        self._values = values

    def player(self, rate: int) -> tuple[Player, int, int]:
        """Return a copy of the model that is new; see `Form.player`."""
        return self.form.player(self.script, rate, self.facts.size(rate), self.values)

    def begin(self, stream: Stream) -> Playing:
        """Return a net for one stream, which holds the memory of the model.

        Raises:
            AudioError: If the model cannot process that many channels.
        """
        return Playing(self, stream)

    def twin(self) -> Foreign:
        """Return the same model with parameters of its own."""
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        return other

    def initial_state(self, channels: int) -> Samples:
        """See `Net.initial_state`."""
        return np.zeros((channels, 1), np.float32)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """Refuse: a stream has a net of its own; see `begin`."""
        raise UsageError(f"{self.facts.name} holds its memory: begin(stream) gives a net to call")

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        self.script.prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`."""
        return self.script.one_thread()


class Playing:
    """A model in one stream: a `Net` that only this stream may call.

    A model with one channel gets a copy for each channel. Mono goes into both channels of a stereo
    model, and the mean of what it gives comes back.

    Args:
        model: The model, whose parameters may be set while this runs.
        stream: The stream.

    Raises:
        AudioError: If the model cannot process that many channels.
    """

    holds_state = True

    def __init__(self, model: Foreign, stream: Stream) -> None:
        self.model, self._channels = model, stream.channels
        rate = model.facts.rate(stream.rate)
        with model.script.one_thread():
            first, inputs, outputs = model.player(rate)
            late = model.form.late(first, model.values)
            self._apart = inputs == outputs == 1
            if not self._apart and stream.channels not in (1, inputs, outputs):
                raise AudioError(
                    f"{model.facts.name} takes {inputs} channels and gives {outputs}; it cannot "
                    f"process {stream.channels}. Split the recording, or mix it down"
                )
            more = stream.channels - 1 if self._apart else 0
            self._players = [first, *(model.player(rate)[0] for _ in range(more))]
        self._inputs = inputs
        self.card = model.facts.card(stream.rate, model.script.parameters, late)
        self.card = replace(self.card, channels=inputs)
        self.analysis, self.synthesis = windows_of(self.card)
        self._seen: Mapping[str, Any] = model.values
        self._fresh = True

    def begin(self, stream: Stream) -> Playing:
        """See `Net.begin`."""
        return Playing(self.model, stream)

    def initial_state(self, channels: int) -> Samples:
        """See `Net.initial_state`: no hops yet."""
        return np.zeros((channels, 1), np.float32)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """See `Net.__call__`. A state of 0 begins a stream."""
        if state[0, 0] == 0 and not self._fresh:
            for player in self._players:
                player.begin()
        self._fresh = False
        if self._seen is not self.model.values:
            self._seen = self.model.values
            for player in self._players:
                player.set(self._seen)
        out = np.empty_like(windows)
        for t in range(windows.shape[1]):
            out[:, t] = self._hop(np.ascontiguousarray(windows[:, t]))
        hops = state[0, 0] + windows.shape[1]
        return out, np.full_like(state, hops if hops < MOST_HOPS else 1)

    def _hop(self, block: Samples) -> Samples:
        """Return the next block (channels, B) for *block*.

        Raises:
            ModelError: If the model gives another shape or type.
        """
        rows = block[:, None] if self._apart else [fit_channels(block, self._inputs)]
        answers = [player(given) for player, given in zip(self._players, rows, strict=True)]
        for answer in answers:
            if answer.ndim != 2 or answer.shape[1] != block.shape[1] or answer.dtype != np.float32:
                raise ModelError(
                    f"{self.model.facts.name} gave {answer.shape} {answer.dtype} for "
                    f"{block.shape[1]} samples"
                )
        out = answers[0] if not self._apart else np.concatenate(answers)
        return fit_channels(out, self._channels)

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        self.model.script.prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`."""
        return self.model.script.one_thread()


def form_of(archive: Archive) -> Form | None:
    """Return the form of a file that is one of another host's; None: it has a card of ours.

    Raises:
        ModelError: If it is of no known form, or what it says of itself is damaged.
    """
    if archive.extra(EXTRA_FILE) is not None:
        return None
    if found := neutone.form(archive) or nntilde.form(archive):
        return found
    raise ModelError(
        f"{archive.path} is a model of no known form: it has neither a card of rtdenoise, nor the "
        "metadata of Neutone, nor the register of nn~"
    )


def load(path: str | Path) -> Net:
    """Load a model of another host's form, and let it process a block of silence.

    Raises:
        ModelError: If there is no such file, it is of no known form, it could do more than compute,
            or it fails.
    """
    from . import torchscript

    archive = Archive(Path(path))
    form = form_of(archive)
    if form is None:
        return torchscript.load(path)
    try:
        with torchscript.one_thread():
            return Foreign(form, torchscript.script(archive))
    except RtdenoiseError:
        raise
    except Exception as error:  # a model may raise anything
        raise ModelError(f"{path} cannot be used: {last_line(error)}") from None
