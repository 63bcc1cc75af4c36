"""The pool: the streams of many clients share nets, and one call of a net takes a hop of each.

Each stream has the ordinary stage of its effect, which runs in a greenlet. Its nets are `Shared`:
a call of one leaves the greenlet with a `Question`. The hub collects the questions of many streams,
stacks them along the channels, which are independent by the contract, calls the net once, and goes
back into each greenlet with its part of the answer. So every effect, rate and strength works, and
the samples are those of a file, but for the rounding of another batch size.

All of this happens in one thread, the hub's. It gets audio through a queue, and gives answers by
one call a round.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet

from ..audio import Samples
from ..core.counters import Counters
from ..core.kernels import clean
from ..core.stage import Stage
from ..core.stream import Stream
from ..nets.net import Net, Windows, check_answer
from .protocol import Hello

USUAL_HOP_S = 0.01  # time of a piece of a stream whose effect has no net
MOST_HOPS = 8  # of one stream in one round, if it sends faster than real time


@dataclass(slots=True)
class Question:
    """A call of a net that a stream waits for."""

    net: Net
    windows: Windows
    state: Samples


class Shared:
    """A `Net` that asks the hub, if it is called in a stream of a pool; otherwise it calls the net.

    Args:
        net: The net, which holds no state of a stream.
    """

    holds_state = False

    def __init__(self, net: Net) -> None:
        self.net, self.card = net, net.card
        self.analysis, self.synthesis = net.analysis, net.synthesis

    def begin(self, stream: Stream) -> Shared:
        """See `Net.begin`."""
        return self

    def initial_state(self, channels: int) -> Samples:
        """See `Net.initial_state`."""
        return self.net.initial_state(channels)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        """See `Net.__call__`."""
        hub = getcurrent().parent
        if hub is None:
            return self.net(windows, state)
        answer: tuple[Windows, Samples] = hub.switch(Question(self.net, windows, state))
        return answer

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        self.net.prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`."""
        return self.net.one_thread()


class Lane:
    """A stream of the pool: its stage, and the audio that waits for it.

    Args:
        hello: The form of its samples.
        stage: Its stage.
        counters: The counts of its nets.
        hop_s: Time between two windows of its net in seconds. None: it has no net.

    Attributes:
        hop: Frames of a piece: those of one hop, at most.
        frames_in: Frames that were pushed.
        frames_out: Frames that came out.
        nonfinite: NaN and infinite samples among those that were pushed.
        late: Pieces that were answered later than the end of the next hop.
    """

    def __init__(self, hello: Hello, stage: Stage, counters: Counters, hop_s: float | None) -> None:
        self.hello, self.stage, self.counters = hello, stage, counters
        self.hop = max(1, int((hop_s or USUAL_HOP_S) * hello.rate))
        self.frames_in = self.frames_out = self.nonfinite = self.late = 0
        self.ending = False
        self._blocks: deque[Samples] = deque()
        self._waiting = 0
        self._clock_s = 0.0  # time at which the first frame that waits is there in real time

    def add(self, block: Samples, now_s: float) -> None:
        """Append *block* (channels, n), which came at the time *now_s*."""
        if not self._waiting:
            self._clock_s = now_s
        self._blocks.append(block)
        self._waiting += block.shape[1]

    @property
    def ready(self) -> bool:
        """Whether audio waits."""
        return self._waiting > 0

    @property
    def due_s(self) -> float:
        """The time at which the next piece is to be answered."""
        return self._clock_s + self.hop / self.hello.rate

    def take(self, frames: int) -> Samples:
        """Return the next *frames* frames at most."""
        parts: list[Samples] = []
        while frames and self._blocks:
            block = self._blocks.popleft()
            if block.shape[1] > frames:
                self._blocks.appendleft(block[:, frames:])
                block = block[:, :frames]
            frames -= block.shape[1]
            parts.append(block)
        taken = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        self._waiting -= taken.shape[1]
        self._clock_s += taken.shape[1] / self.hello.rate
        return taken

    def counts(self) -> dict[str, int]:
        """Return the counts of the stream, as `done` tells them."""
        nets = {name: self.counters[name] for name in ("hops", "dry", "failed")}
        own = {"frames_in": self.frames_in, "frames_out": self.frames_out, "late": self.late}
        return own | nets | {"nonfinite": self.nonfinite}


@dataclass(slots=True)
class Answer:
    """What a round gave to a stream.

    Attributes:
        lane: The stream.
        frames: Frames of its audio that wait no more.
        message: The processed samples.
        over: Whether the stream is at its end.
        fault: What the stage raised. None: nothing.
    """

    lane: Lane
    frames: int
    message: bytes
    over: bool = False
    fault: Exception | None = None


class Hub:
    """The thread in which all streams are processed, from `start` to `stop`.

    Args:
        give: Function that takes the answers of a round; it is called in the hub's thread.
        prepare: Functions that prepare the thread for the nets.
    """

    def __init__(
        self, give: Callable[[list[Answer]], None], prepare: Iterable[Callable[[], None]] = ()
    ) -> None:
        self._give, self._prepare = give, list(prepare)
        self._inbox: queue.SimpleQueue[tuple[Callable[..., None], Any]] = queue.SimpleQueue()
        self._lanes: set[Lane] = set()
        self._going = True
        self._thread = threading.Thread(target=self._run, name="rtdenoise-hub", daemon=True)

    def start(self) -> None:
        """Begin to process."""
        self._thread.start()

    def stop(self) -> None:
        """Process no more, and wait for the end of the round."""
        self._inbox.put((self._stop, ()))
        self._thread.join()

    def send(self, lane: Lane, message: bytes) -> None:
        """Append audio to a stream; any thread may call it."""
        self._inbox.put((self._add, (lane, message, time.perf_counter())))

    def end(self, lane: Lane) -> None:
        """End a stream, when all of its audio is processed; any thread may call it."""
        self._inbox.put((self._end, (lane, time.perf_counter())))

    def drop(self, lane: Lane) -> None:
        """Forget a stream at once; any thread may call it."""
        self._inbox.put((self._lanes.discard, (lane,)))

    def _stop(self) -> None:
        self._going = False

    def _add(self, lane: Lane, message: bytes, now_s: float) -> None:
        block = lane.hello.decoded(message)
        lane.nonfinite += clean(block, block)
        lane.frames_in += block.shape[1]
        if block.shape[1]:
            lane.add(block, now_s)
            self._lanes.add(lane)

    def _end(self, lane: Lane, now_s: float) -> None:
        lane.ending = True
        late = lane.stage.latency
        if late:
            lane.add(np.zeros((lane.hello.channels, late), np.float32), now_s)
            self._lanes.add(lane)
        elif not lane.ready:
            self._give([Answer(lane, 0, b"", over=True)])

    def _run(self) -> None:
        for prepare in self._prepare:
            prepare()
        while self._going:
            self._listen()
            lanes = [lane for lane in self._lanes if lane.ready]
            if lanes:
                self._round(nsmallest(16, lanes, key=lambda lane: lane.due_s))

    def _listen(self) -> None:
        """Do what the queue says; wait for it if nothing is to be processed."""
        if not self._lanes:
            do, what = self._inbox.get()
            do(*what)
        while not self._inbox.empty():
            do, what = self._inbox.get_nowait()
            do(*what)

    def _round(self, lanes: list[Lane]) -> None:
        """Process a piece of each stream, and give the answers."""
        answers: list[Answer] = []
        asked: list[tuple[Lane, Any, Question, int]] = []
        for lane in lanes:
            piece = lane.take(lane.hop)
            task = greenlet(lane.stage.push)
            self._on(lane, task, piece.shape[1], asked, answers, piece)
        while asked:
            now, asked = asked, []
            for (lane, task, _, frames), reply in zip(
                now, answered([question for _, _, question, _ in now]), strict=True
            ):
                self._on(lane, task, frames, asked, answers, reply)
        now_s = time.perf_counter()
        for answer in answers:
            lane = answer.lane
            if not lane.ready:
                self._lanes.discard(lane)
                answer.over = lane.ending
        self._give(answers)

    def _on(self, lane: Lane, task: Any, frames: int, asked: Any, answers: Any, value: Any) -> None:
        """Go on in a greenlet with *value*, up to its next question or its end."""
        try:
            got = task.throw(value) if isinstance(value, Exception) else task.switch(value)
        except Exception as fault:
            answers.append(Answer(lane, frames, b"", over=True, fault=fault))
            return
        if isinstance(got, Question):
            asked.append((lane, task, got, frames))
            return
        lane.frames_out += got.shape[1]
        answers.append(Answer(lane, frames, lane.hello.encoded(got)))


def answered(questions: list[Question]) -> list[Any]:
    """Return the answer to each question, or the exception that the net raised for it."""
    groups: dict[tuple[int, int], list[int]] = {}
    for at, question in enumerate(questions):
        groups.setdefault((id(question.net), question.windows.shape[1]), []).append(at)
    answers: list[Any] = [None] * len(questions)
    for group in groups.values():
        for at, answer in zip(group, _together([questions[at] for at in group]), strict=True):
            answers[at] = answer
    return answers


def _together(questions: list[Question]) -> list[Any]:
    """Return the answers to questions of one net with equally many windows."""
    if len(questions) == 1:
        return [_alone(questions[0])]
    windows = np.concatenate([question.windows for question in questions])
    states = np.concatenate([question.state for question in questions])
    try:
        out, after = questions[0].net(windows, states)
        check_answer(windows, states, out, after)
    except Exception:  # the fault of one of them, which the others must not pay for
        return [_alone(question) for question in questions]
    answers, at = [], 0
    for question in questions:
        rows = slice(at, at + len(question.windows))
        answers.append((out[rows], after[rows].copy()))
        at = rows.stop
    return answers


def _alone(question: Question) -> Any:
    try:
        return question.net(question.windows, question.state)
    except Exception as fault:
        return fault
