"""A run and a tap that a test makes up, as `tui.source` sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from rtdenoise.core.tape import CALL, LATE
from rtdenoise.errors import AudioError, DeviceError, ModelError, Problem
from rtdenoise.tui.app import Watch
from rtdenoise.tui.source import Source

RATE = 48_000
MODELS = ("speech", "speech-dereverb", "speech-small")
SOON_S = 20.0


def status(**changes: Any) -> dict[str, Any]:
    """The status of a run, as docs/control.md lists it."""
    known = {
        "pid": 7, "version": "1", "preset": None, "ends": ["mic", "speakers"], "rate": RATE,
        "channels": 1, "block": 512, "model": "speech", "board": None, "bypass": False,
        "mix": 100.0, "atten_lim_db": None, "residual": False,
        "latency_ms": {"in": 5.0, "stage": 10.7, "out": None}, "delay_samples": 512,
        "seconds": 75.0, "in_db": -9.0, "out_db": -12.0, "p50_ms": 1.5, "p99_ms": 2.5,
        "deadline_ms": 10.7, "load_percent": 14.0, "xruns": 3, "late": 5, "dry": 6, "failed": 7,
        "gaps": 8, "clipped": 9, "drift_ppm": 12.5, "recording": None, "waiting": False,
        "ended": "running", "tap": "tap",
    }  # fmt: skip
    return known | changes


class Run:
    """A run that does what it is told, and remembers it; each connection is the run itself."""

    def __init__(self, **changes: Any) -> None:
        self.state = status(**changes)
        self.asked: list[tuple[str, Any]] = []
        self.alive = True
        self.taken: set[str] = set()

    def connect(self) -> Run:
        """A connection."""
        if not self.alive:
            raise DeviceError("there is no run to control", Problem.NO_HOST)
        return self

    def close(self) -> None:
        """Close it."""

    def ask(self, do: str, **given: Any) -> Any:
        """Answer as a run does."""
        self.connect()
        if do == "status":
            return dict(self.state)
        if do == "models":
            return [{"name": name, "task": "denoise"} for name in MODELS]
        self.asked.append((do, given.get("value", given.get("text"))))
        return self._does(do, given.get("value"))

    def _does(self, do: str, value: Any) -> Any:
        if do in ("bypass", "residual", "mix"):
            self.state[do] = value
        elif do == "atten-lim":
            self.state["atten_lim_db"] = value
        elif do in ("model", "board"):
            if do == "model" and value not in MODELS:
                raise ModelError(f"no model {value}", Problem.NO_MODEL)
            self.state["model"] = value if do == "model" else None
            self.state["board"] = ["Gain", "Limiter"] if do == "board" else None
            runs = {name: self.state[name] for name in ("model", "board")}
            return runs | {"heard": True, "delay_added": 480 if do == "board" else 0}
        elif do == "record":
            if value in self.taken:
                raise AudioError(f"{value} exists", Problem.EXISTS)
            before = self.state["recording"]
            self.state["recording"] = value and {"file": value, "seconds": 4.0}
            return self.state["recording"] or before
        elif do == "mark":
            return "/flights/one"
        elif do == "quit":
            self.state["ended"] = "stopped"
        return value


class Tape:
    """A tap with a sine of 1 kHz at -6 dB as dry sound, and half of that as wet sound."""

    name, rate = "tap", RATE

    def __init__(self, seconds: float = 4.0, late: int = 2) -> None:
        time_s = np.arange(round(seconds * RATE)) / RATE
        self.dry = (0.5 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)[None]
        self.wet = 0.5 * self.dry
        self.position = self.dry.shape[1]
        self.happened: list[dict[str, Any]] = []
        self._calls = np.zeros(300, CALL)
        self._calls["number"] = np.arange(300)
        self._calls["hops"], self._calls["deadline_s"] = 1, 0.0107
        self._calls["seconds"] = 0.002
        self._calls["seconds"][:late], self._calls["flags"][:late] = 0.02, LATE

    def last(self, seconds: float, aligned: bool = False) -> Any:
        """The last seconds."""
        n = round(seconds * RATE)
        return self.dry[:, self.position - n :], self.wet[:, self.position - n :]

    def calls(self, since: int = 0) -> Any:
        """The calls."""
        return self._calls[since:]

    def events(self) -> Any:
        """What happened."""
        return self.happened


def shown(app: Watch) -> str:
    """All that is on the screen now, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


async def until(app: Watch, pilot: Any, *texts: str) -> str:
    """Wait until each of *texts* is on the screen; return the screen."""
    end = asyncio.get_running_loop().time() + SOON_S
    while any(text not in shown(app) for text in texts):
        assert asyncio.get_running_loop().time() < end, f"{texts} not in\n{shown(app)}"
        await pilot.pause(0.02)
    return shown(app)


def use(
    run: Run,
    do: Callable[[Watch, Any], Awaitable[None]],
    own: bool = False,
    size: tuple[int, int] = (100, 30),
    tap: Callable[[str], Any] | None = None,
) -> Watch:
    """Let *do* use the screen of *run*, which has its status already; return the app."""
    app = Watch(Source(run.connect, tap or (lambda name: Tape())), own)

    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            if run.alive:
                await until(app, pilot, "cut ")
            await do(app, pilot)

    asyncio.run(main())
    return app
