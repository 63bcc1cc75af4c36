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
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet

from ..audio import Samples
from ..core.kernels import clean
from ..core.stage import Stage
from ..core.stream import Stream
from ..nets.net import Net, Windows, check_answer
from .lane import Lane, encoded
from .timing import Times

MOST_LANES = 64  # streams in one round
MOST_HOPS = 8  # of a stream that is ahead of real time in one round, while there is room for it
SHARE = 0.5  # of a hop that a round may take for what is ahead of real time: the rest comes in time
GATHER = 0.25  # of a hop that audio waits for that of other streams: a call of many is cheaper
STOP_S = 5.0  # time that a call of a net may still take at the end
COLD, MEASURED = 8, 24  # hops before a measurement, and of it


@dataclass(slots=True)
class Question:
    """A call of a net that a stream waits for."""

    by: Shared
    windows: Windows
    state: Samples


class Shared:
    """A `Net` that asks the hub, if it is called in a stream of a pool; otherwise it calls the net.

    Args:
        net: The net, which holds no state of a stream.
        alone: Whether each call is one of the net, because it mixes channels, or has raised.
    """

    holds_state = False

    def __init__(self, net: Net, alone: bool = False) -> None:
        self.net, self.card, self.alone = net, net.card, alone
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
        answer: tuple[Windows, Samples] = hub.switch(Question(self, windows, state))
        return answer

    def prepare_thread(self) -> None:
        """See `Net.prepare_thread`."""
        self.net.prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Net.one_thread`."""
        return self.net.one_thread()


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
    message: bytes = b""
    over: bool = False
    fault: Exception | None = None


@dataclass(slots=True)
class Round:
    """The facts about a round.

    Attributes:
        hops: Windows that nets processed.
        seconds: Time that it took.
        lags_s: Time of each piece from when it was there in real time to its answer.
        late: Pieces whose answer came later than the end of the next hop.
    """

    hops: int
    seconds: float
    lags_s: list[float]
    late: int


class Hub:
    """The thread in which all streams are processed, from `start` to `stop`.

    Args:
        give: Function that takes the answers of a round; it is called in the hub's thread.
        prepare: Functions that prepare the thread for the nets.
        watch: Function that is told of each round, in the hub's thread.
    """

    def __init__(
        self,
        give: Callable[[list[Answer]], None],
        prepare: Iterable[Callable[[], None]] = (),
        watch: Callable[[Round], None] = lambda about: None,
    ) -> None:
        self.times = Times()
        self._give, self._prepare, self._watch = give, list(prepare), watch
        self._inbox: queue.SimpleQueue[tuple[Callable[..., None], Any]] = queue.SimpleQueue()
        self._ready: set[Lane] = set()  # streams whose audio waits
        self._tasks: dict[Lane, greenlet] = {}
        self._going = True
        self._thread = threading.Thread(target=self._run, name="rtdenoise-hub", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to process."""
        self._thread.start()

    def stop(self) -> None:
        """Process no more, and wait for the end of the round, if it comes."""
        self._inbox.put((self._stop, ()))
        self._thread.join(STOP_S)

    def send(self, lane: Lane, message: bytes) -> None:
        """Append audio, whole frames of it, to a stream; any thread may call it."""
        self._inbox.put((self._add, (lane, message, time.perf_counter())))

    def end(self, lane: Lane) -> None:
        """End a stream, when all of its audio is processed; any thread may call it."""
        self._inbox.put((self._end, (lane, time.perf_counter())))

    def drop(self, lane: Lane) -> None:
        """Forget a stream at once; any thread may call it."""
        self._inbox.put((self._drop, (lane,)))

    def _stop(self) -> None:
        self._going = False

    def _add(self, lane: Lane, message: bytes, now_s: float) -> None:
        block = lane.hello.decoded(message)
        lane.nonfinite += clean(block, block)
        lane.frames_in += block.shape[1]
        if block.shape[1]:
            lane.add(block, now_s)
            self._ready.add(lane)

    def _end(self, lane: Lane, now_s: float) -> None:
        lane.ending = True
        if late := lane.stage.latency:
            lane.add(np.zeros((lane.hello.channels, late), np.float32), now_s)
            self._ready.add(lane)
        elif not lane.waiting:
            self._give([Answer(lane, 0, over=True)])

    def _drop(self, lane: Lane) -> None:
        self._ready.discard(lane)
        if task := self._tasks.pop(lane, None):
            task.throw()

    def _run(self) -> None:
        for prepare in self._prepare:
            prepare()
        while self._going:
            self._listen()
            if self._ready:
                self.round(self._chosen())
        for lane in list(self._tasks):
            self._drop(lane)

    def _listen(self) -> None:
        """Do what the queue says; wait for it if no audio waits, and a little for more streams."""
        if not self._ready:
            self._do(*self._inbox.get())
        self._do_all()
        oldest = min(self._ready, key=lambda lane: lane.due_s, default=None)
        if oldest is None or any(lane.hops >= MOST_HOPS for lane in self._ready):
            return
        until_s = oldest.due_s - (1 - GATHER) * oldest.hop_s
        while len(self._ready) < len(self._tasks) and self._going:
            left_s = until_s - time.perf_counter()
            try:
                self._do(*self._inbox.get(timeout=max(0.0, left_s)))
            except queue.Empty:
                return
            self._do_all()

    def _do(self, do: Callable[..., None], what: Any) -> None:
        do(*what)

    def _do_all(self) -> None:
        while not self._inbox.empty():
            self._do(*self._inbox.get_nowait())

    def round(self, chosen: list[tuple[Lane, int]]) -> None:
        """Process the next frames of streams, so many of each, and give the answers."""
        start_s, spent_s = time.perf_counter(), time.thread_time()
        answers: list[Answer] = []
        given: list[tuple[Answer, Samples]] = []
        turns = [(lane, lane.take(frames)) for lane, frames in chosen]
        values: list[Any] = [piece for _, piece in turns]
        hops = 0
        running = [Answer(lane, piece.shape[1]) for lane, piece in turns]
        while running:
            asked: list[tuple[Answer, Question]] = []
            for answer, value in zip(running, values, strict=True):
                got = self._on(answer, value)
                if isinstance(got, Question):
                    asked.append((answer, got))
                    continue
                answers.append(answer)
                if got is not None:
                    given.append((answer, got))
            hops += sum(question.windows.shape[1] for _, question in asked)
            running = [answer for answer, _ in asked]
            values = answered([question for _, question in asked])
        for (answer, _), message in zip(
            given, encoded([(answer.lane, out) for answer, out in given]), strict=True
        ):
            answer.message = message
        late = self._finish(answers)
        if hops >= len(answers):  # no stream slept
            self.times.note(hops, time.thread_time() - spent_s)
        lags_s = [answer.lane.lag_s for answer in answers]
        self._watch(Round(hops, time.perf_counter() - start_s, lags_s, late))

    def _chosen(self) -> list[tuple[Lane, int]]:
        """Return the streams of the next round, the most urgent first, and the frames of each.

        All streams whose audio is there in real time are in it, with one hop: the more there are,
        the less each of them costs, so that a server that is late catches up. A second hop of some
        would be another call of the net, for which the first ones would wait. Audio that came ahead
        takes part while the round stays short.
        """
        lanes = nsmallest(MOST_LANES, self._ready, key=lambda lane: lane.due_s)
        room = self.times.within(SHARE * lanes[0].hop_s)
        now_s, chosen = time.perf_counter(), list[tuple[Lane, int]]()
        for lane in lanes:
            ahead = lane.due_s - lane.hop_s > now_s
            if ahead and chosen and room <= 0:
                break
            most = max(1, min(MOST_HOPS, room // len(lanes))) if ahead else 1
            hops = min(most, lane.hops)
            chosen.append((lane, hops * lane.hop))
            room -= hops
        return chosen

    def _on(self, answer: Answer, value: Any) -> Any:
        """Go on in the greenlet of a stream; return its question, or what its stage gave.

        Args:
            answer: The answer for the stream, which gets the fault if the stage raises.
            value: The next piece, or the answer or the exception of the net.
        """
        lane = answer.lane
        task = self._tasks.get(lane)
        if task is None:
            task = self._tasks[lane] = greenlet(_pushing(lane.stage))
        try:
            return task.throw(value) if isinstance(value, Exception) else task.switch(value)
        except Exception as fault:  # of an effect that is no net: the stream is at its end
            answer.fault, answer.over = fault, True
            self._tasks.pop(lane)
            self._ready.discard(lane)
            return None

    def _finish(self, answers: list[Answer]) -> int:
        """Give the answers of a round, and return how many are late."""
        now_s, late = time.perf_counter(), 0
        for answer in answers:
            lane = answer.lane
            late += lane.note(now_s)
            if not lane.waiting:
                self._ready.discard(lane)
                answer.over = answer.over or lane.ending
        self._give(answers)
        return late


def _pushing(stage: Stage) -> Callable[[Samples], None]:
    """Return what a greenlet runs: it pushes pieces, and gives its parent what comes out."""

    def push(piece: Samples) -> None:
        hub = getcurrent().parent
        while hub is not None:
            piece = hub.switch(stage.push(piece))

    return push


def answered(questions: list[Question]) -> list[Any]:
    """Return the answer to each question, or the exception that the net raised for it."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for at, question in enumerate(questions):
        by = question.by
        key = (id(by),) if by.alone else (id(by.net), question.windows.shape[1])
        groups.setdefault(key, []).append(at)
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
        out, after = questions[0].by.net(windows, states)
        check_answer(windows, states, out, after)
    except Exception:  # the fault of one of them, for which the others must not pay twice
        return [_alone(question) for question in questions]
    answers, at = [], 0
    for question in questions:
        rows = slice(at, at + len(question.windows))
        answers.append((out[rows], after[rows].copy()))  # the state outlives the others'
        at = rows.stop
    return answers


def _alone(question: Question) -> Any:
    try:
        return question.by.net(question.windows, question.state)
    except Exception as fault:
        question.by.alone = True
        return fault


def core_share(lanes: list[Lane]) -> float:
    """Return the share of a core that each of some new streams takes: seconds a second of noise.

    The time is that of the calling thread, so that other programs do not change it.
    """
    hub, random = Hub(lambda answers: None), np.random.default_rng(1)
    start_s = time.thread_time()
    for turn in range(COLD + MEASURED):
        if turn == COLD:
            start_s = time.thread_time()
        for lane in lanes:
            shape = (lane.hop, lane.hello.channels)
            hub._add(lane, random.integers(-3000, 3000, shape, "<i2").tobytes(), 0.0)
        hub.round([(lane, lane.hop) for lane in lanes])
    spent_s = time.thread_time() - start_s
    for lane in lanes:
        hub._drop(lane)
    return spent_s / MEASURED / len(lanes) / lanes[0].hop_s
