"""What the requests of a control socket mean: each is a line of JSON that names a thing to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import rtdenoise

from ..chain.boardfile import SUFFIX, board_of, open_board
from ..chain.describe import describe
from ..errors import RtdenoiseError, UsageError, last_line, printable
from ..nets import box
from .live import Live
from .processing import known_effects

Request = dict[str, Any]
LONGEST_TEXT = 1000  # characters of a mark
FIRST = 50  # blocks whose peaks the first look of a client gets: half a second, as a rule


class Commands:
    """The requests of one client.

    Args:
        live: The run.
        preset: Name of the preset that it was started with. None: there is none.
    """

    def __init__(self, live: Live, preset: str | None = None) -> None:
        self._live, self._preset = live, preset
        self._seen = max(0, live.status(0)["callbacks"] - FIRST)  # its levels are since then
        self._quick: dict[str, Callable[[Request], Any]] = {
            "status": self._status,
            "bypass": self._bypass,
            "mix": self._mix,
            "atten-lim": self._atten_lim,
            "residual": self._residual,
            "parameters": lambda _: live.parameters(),
            "describe": lambda _: describe(live.effect),
            "set": self._set,
            "events": self._events,
            "quit": self._quit,
        }
        self._slow: dict[str, Callable[[Request], Any]] = {
            "model": self._model,
            "board": self._board,
            "record": self._record,
            "mark": self._mark,
            "models": lambda _: cards(),
            "effects": lambda _: known_effects(),
        }

    def work(self, line: bytes) -> tuple[Callable[[], Request], bool]:
        """Return what answers a line, and whether it may take longer than a moment.

        The answer never raises.
        """
        request: Request = {}
        try:
            request = parsed(line)
            name = request.get("do")
            known = self._quick | self._slow
            if not isinstance(name, str) or name not in known:
                raise UsageError(f"do = {shown(name)}: wanted one of {', '.join(known)}")
        except RtdenoiseError as error:
            return partial(refused, error, request), False
        return partial(_done, known[name], request), name in self._slow

    def _status(self, _: Request) -> Request:
        live, seen = self._live, self._seen
        status = live.status(seen)
        self._seen = status["callbacks"]
        summary = live.summary()
        ring = summary["clock_ring"]
        return {
            "pid": os.getpid(),
            "version": rtdenoise.__version__,
            "preset": self._preset,
            "ends": list(live.ends),
            **live.form,
            "model": live.model,
            "board": live.board,
            "bypass": live.bypass,
            "mix": live.mix,
            "atten_lim_db": live.atten_lim_db,
            "residual": live.residual,
            "latency_ms": summary["latency_ms"],
            "seconds": summary["seconds"],
            **{name: status[name] for name in LEVELS},
            "deadline_ms": summary["deadline_ms"],
            **{name: summary[name] for name in ("late", "dry", "failed", "gaps", "clipped")},
            "drift_ppm": None if ring is None else ring["drift_ppm"],
            "recording": live.recording,
            "waiting": live.waiting,
            "ended": summary["ended"],
            "tap": live.tap,
        }

    def _bypass(self, request: Request) -> bool:
        self._live.bypass = switched("bypass", request, self._live.bypass)
        return self._live.bypass

    def _residual(self, request: Request) -> bool:
        self._live.residual = switched("residual", request, self._live.residual)
        return self._live.residual

    def _mix(self, request: Request) -> float:
        self._live.mix = number("mix", request)
        return self._live.mix

    def _atten_lim(self, request: Request) -> float | None:
        value = request.get("value")
        self._live.atten_lim_db = None if value is None else number("atten_lim_db", request)
        return self._live.atten_lim_db

    def _model(self, request: Request) -> Request:
        name = text("value", request)
        if Path(name).suffix.lower() == SUFFIX:
            raise UsageError(f"{printable(name)} is a board, wanted the name or path of a model")
        return self._changed(name)

    def _board(self, request: Request) -> Request:
        value = request.get("value")
        if isinstance(value, dict) and set(value) == {"path"}:
            return self._changed(Path(text("path", value)), open_board)
        return self._changed(text("value", request), board_of)

    def _changed(self, what: Any, make: Callable[[Any], Any] | None = None) -> Request:
        """Change to *what*, or what *make* makes of it; return what runs and the added delay."""
        live = self._live
        effect = what if make is None else live.errands.do(partial(make, what))
        before = live.form["delay_samples"]
        heard, after = live.change(effect), live.form["delay_samples"]
        return {
            "model": live.model,
            "board": live.board,
            "heard": heard,
            "delay_samples": after,
            "delay_added": after - before,
        }

    def _set(self, request: Request) -> Any:
        return self._live.set(text("path", request), request.get("value"))

    def _record(self, request: Request) -> Any:
        path, overwrite = request.get("value"), request.get("overwrite", False)
        if not isinstance(overwrite, bool):
            raise UsageError(f"overwrite = {shown(overwrite)}: wanted true or false")
        return self._live.record(None if path is None else text("value", request), overwrite)

    def _mark(self, request: Request) -> Any:
        said = request.get("text", request.get("value")) or ""
        if not isinstance(said, str) or len(said) > LONGEST_TEXT:
            raise UsageError(f"text: wanted at most {LONGEST_TEXT} characters")
        return self._live.mark(said)

    def _events(self, request: Request) -> list[Request]:
        since = request.get("since", request.get("value"))
        if since is None:
            since = 0
        if not isinstance(since, int) or isinstance(since, bool) or since < 0:
            raise UsageError(f"since = {shown(since)}: wanted the number of an event, 0 or more")
        events = self._live.events[since : since + MOST_EVENTS]
        return [{"number": since + at, **asdict(event)} for at, event in enumerate(events)]

    def _quit(self, _: Request) -> None:
        self._live.stop(wait=False)


LEVELS = ("in_db", "out_db", "p50_ms", "p99_ms", "load_percent", "xruns")
MOST_EVENTS = 200  # so that the answer is not longer than a line may be


def parsed(line: bytes) -> Request:
    """Return the request in a line.

    Raises:
        UsageError: If it is no JSON object.
    """
    try:
        request = json.loads(line.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the line is not JSON: {printable(str(error)[:200])}") from None
    if not isinstance(request, dict):
        raise UsageError('wanted an object of JSON, as {"do": "status"}')
    return request


def _refuse(word: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{word} is no number of JSON")


def refused(error: Exception, request: Request) -> Request:
    """Return the reply to a request that failed."""
    if isinstance(error, RtdenoiseError):
        said, problem, code = str(error), str(error.problem), error.exit_code
    else:
        said, problem, code = last_line(error), "", RtdenoiseError.exit_code
    lines = "\n".join(map(printable, said.split("\n")))
    reply = {"ok": False, "error": lines, "problem": problem, "code": code}
    return reply | ({"id": request["id"]} if "id" in request else {})


def _done(do: Callable[[Request], Any], request: Request) -> Request:
    """Do what a request asks for, and return the reply."""
    try:
        reply: Request = {"ok": True, "result": do(request)}
    except Exception as error:  # the server must go on, whatever an effect of a user raises
        return refused(error, request)
    return reply | ({"id": request["id"]} if "id" in request else {})


def switched(name: str, request: Request, now: bool) -> bool:
    """Return the state that a request asks for, of something that is on or off *now*."""
    value = request.get("value", "toggle")
    if value == "toggle":
        return not now
    if not isinstance(value, bool):
        raise UsageError(f'{name} = {shown(value)}: wanted true, false or "toggle"')
    return value


def number(name: str, request: Request) -> float:
    """Return the number of a request."""
    value = request.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name} = {shown(value)}: wanted a number")
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{name}: wanted a smaller number") from None


def text(name: str, request: Request) -> str:
    """Return a text of a request."""
    value = request.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name} = {shown(value)}: wanted a text")
    return value


def shown(value: Any) -> str:
    """Return a value of a request for a message."""
    return printable(repr(value)[:80])


def cards() -> list[Request]:
    """Return the cards of the models in the box."""
    return [asdict(box.card(name)) for name in box.models()]
