r"""The screen of a run: what it shows ten times a second, and what its keys do.

status thread: socket -> settings, counts --\
timer:         tap -> levels, spectra, hops -> widgets
keys -> a thread a lane: socket ------------/

What moves comes from the tap. The host is asked every two seconds, and after a key: an answer needs
its interpreter, for which a hop may have to wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from ..errors import DeviceError, Problem, RtdenoiseError, printable
from . import paint
from .dialogs import CLOSE, END, AskEnd, AskPath, Help
from .ear import Ear
from .keys import KEYS, hints, next_limit
from .source import Source, Status
from .widgets import Lines, Spectrograms

DRAW_S, ASK_S, AGAIN_S, REST_EVERY_S = 0.1, 2.0, 1.0, 0.5
LOW = 18  # lines
MIX_STEP = 10.0
TOLD_S = 12.0  # time that a message stays


class Desk(Screen[None]):
    """The screen with all numbers.

    Args:
        source: The run.
        own: Whether the screen belongs to the run, so that it goes with it.
    """

    DEFAULT_CSS = """
    Desk { overflow: hidden; layout: vertical; }
    Desk > * { width: 100%; height: 1; }
    Desk > #meters, Desk > #facts { height: 3; }
    Desk > #hops { height: 5; }
    Desk > #spectra { height: 1fr; }
    Desk.low > #hops { display: none; }
    Desk.low > #facts { height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "flip('bypass')"),
        Binding("r", "flip('residual')"),
        Binding("m", "mix(-1)"),
        Binding("M", "mix(1)"),
        Binding("a", "limit(-1)"),
        Binding("A", "limit(1)"),
        Binding("1", "slot(0)"),
        Binding("2", "slot(1)"),
        Binding("tab", "other"),
        Binding("c", "choose"),
        Binding("o", "board"),
        Binding("R", "record"),
        Binding("k", "mark"),
        Binding("q,ctrl+c", "quit"),
        Binding("question_mark", "help"),
    ]

    def __init__(self, source: Source, own: bool) -> None:
        super().__init__()
        self._source, self._own = source, own
        self._state: Status | None = None
        self._changes = 0  # commands that began or ended: an older status is not shown
        self._slots: list[tuple[str, Any, str] | None] = [None, None]
        self._slot = 0
        self._ear = Ear()
        self._rest_s = self._taken_s = 0.0
        self._looking = "looking for the run ..."
        self._message, self._told_s = Text(), 0.0
        self._over, self._ask = threading.Event(), threading.Event()

    def compose(self) -> ComposeResult:
        """Yield the parts, from top to bottom."""
        yield Lines("head")
        yield Lines("meters")
        yield Spectrograms("spectra")
        yield Lines("hops")
        yield Lines("facts")
        yield Lines("told")
        yield Lines("keys")

    def on_mount(self) -> None:
        """Begin to ask and to draw."""
        threading.Thread(target=self._ask_on, daemon=True, name="rtdenoise-status").start()
        self.set_interval(DRAW_S, self.draw)
        self.draw_all()

    def on_resize(self) -> None:
        """Draw for another size; a low terminal has no histogram."""
        self.set_class(self.size.height < LOW, "low")
        self.draw_all()

    def on_unmount(self) -> None:
        """End the thread."""
        self._over.set()
        self._ask.set()

    # What comes from the run.

    def _ask_on(self) -> None:
        """Ask the run for its settings and counts until the screen is over."""
        while not self._over.is_set():
            before, pause_s = self._changes, ASK_S
            try:
                status = self._source.status()
                self._call(self._take, status, before)
            except RtdenoiseError as error:
                pause_s = AGAIN_S
                self._call(self._gone, str(error))
            self._ask.wait(pause_s)
            self._ask.clear()

    def _call(self, do: Callable[..., None], *given: Any) -> None:
        """Call *do* in the thread of the screen, unless that is over."""
        with suppress(RuntimeError):
            self.app.call_from_thread(do, *given)

    def _take(self, status: Status, asked_at: int) -> None:
        """Take a status, unless a command has begun or ended since it was asked for."""
        before = self._state
        if before is None or before["pid"] != status["pid"]:
            self._begin(status)
        if asked_at == self._changes or before is None:
            self._state, self._taken_s = status, time.monotonic()
            self._ear.counts()
        if status["ended"] != "running" and self._own:
            self.app.exit()
        self.draw_all()

    def _begin(self, status: Status) -> None:
        """Begin with another run."""
        self._ear = Ear()
        name = status["model"]
        self._slot, self._slots[0] = 0, ("model", name, name) if name else None
        self.tell("? shows the keys")

    def _gone(self, reason: str) -> None:
        """Show that no run answers; one that comes is shown again."""
        if self._own:
            self.app.exit()
        self._state, self._looking = None, "no run"
        self.tell(f"{reason}; waiting for one", bad=True)
        self.draw_all()

    def tell(self, text: str, bad: bool = False) -> None:
        """Show a message in its line."""
        self._message = Text(printable(text), paint.BAD if bad else "cyan")
        self._told_s = time.monotonic()
        self._lines("told", lambda width: [paint.cut(self._message.copy(), width)])

    # What is drawn.

    def draw(self) -> None:
        """Draw what moves, and from time to time the rest."""
        if not self.is_mounted or self.size.width < 1:
            return
        state, now_s = self._state, time.monotonic()
        if state is not None:
            self._draw_sound(state, now_s)
        if now_s - self._rest_s >= REST_EVERY_S:
            self._rest_s = now_s
            self._draw_rest(state, now_s)

    def draw_all(self) -> None:
        """Draw everything, since something has changed."""
        self._rest_s = 0.0
        self.draw()

    def _draw_sound(self, state: Status, now_s: float) -> None:
        """Draw the levels and the spectra."""
        ear = self._ear
        if (tap := self._source.tap) is not None:
            ear.listen(tap, now_s)
        else:
            ear.guess(state, now_s)
        self.query_one("#spectra", Spectrograms).show(ear.spectra)
        self._lines(
            "meters",
            lambda width: [
                paint.meter("in", ear.dry, now_s, width),
                paint.meter("out", ear.wet, now_s, width),
                paint.reduction(ear.dry, ear.wet, state, width),
            ],
        )

    def _draw_rest(self, state: Status | None, now_s: float) -> None:
        """Draw the numbers, the hop times and the keys."""
        self._lines("keys", lambda width: [hints(width)])
        if state is None:
            self._lines("head", lambda width: [paint.cut(Text(self._looking), width)])
            for name in ("meters", "hops", "facts"):
                self._lines(name, lambda _: [])
            return
        if (tap := self._source.tap) is not None and (news := self._ear.news(tap)):
            self.tell(news[-1])
        elif now_s - self._told_s > TOLD_S:
            self._lines("told", lambda _: [])
        state = self._as_of(state, now_s)
        names = [None if slot is None else slot[2] for slot in self._slots]
        self._lines(
            "head", lambda width: paint.flow(paint.heading(state, names, self._slot), width, 1)
        )
        self._lines("facts", lambda width: paint.flow(paint.facts(state), width, 3))
        hops = self._ear.hops()
        self._lines("hops", lambda width: paint.histogram(hops, width, 5))

    def _as_of(self, state: Status, now_s: float) -> Status:
        """Return *state* with the time and the counts of now; in between, the tap has them."""
        for name, more in self._ear.counts().items():
            state[name] += more
        later_s = 0.0 if state["waiting"] else now_s - self._taken_s
        recording = state["recording"]
        if recording is not None:
            recording = recording | {"seconds": recording["seconds"] + later_s}
        return state | {"seconds": state["seconds"] + later_s, "recording": recording}

    def _lines(self, name: str, make: Callable[[int], list[Text]]) -> None:
        if self.is_mounted:
            self.query_one(f"#{name}", Lines).show(make(self.size.width))

    # What the keys do. A setting is shown as it will be, and then as the run answers.

    def _do(self, name: str, told: Callable[[Any], str], **given: Any) -> None:
        """Send a command in a thread, and tell what comes of it."""
        self._changes += 1

        def work() -> None:
            try:
                text, bad = told(self._source.do(name, **given)), False
            except RtdenoiseError as error:
                text, bad = _reason(error), True
            self._changes += 1
            self._call(self.tell, text, bad)
            self._ask.set()

        self._source.put(name, work)
        self.draw_all()

    def action_flip(self, name: str) -> None:
        """Switch the bypass or the residual."""
        if (state := self._state) is not None:
            state[name] = not state[name]
            self._do(name, lambda on: f"{name} {'on' if on else 'off'}", value=state[name])

    def action_mix(self, steps: int) -> None:
        """Mix in more or less of the input."""
        if (state := self._state) is not None:
            state["mix"] = min(100.0, max(0.0, state["mix"] + MIX_STEP * steps))
            self._do("mix", "mix {:g} %".format, value=state["mix"])

    def action_limit(self, steps: int) -> None:
        """Take the next lower or higher limit of what is removed."""
        if (state := self._state) is not None:
            limit = state["atten_lim_db"] = next_limit(state["atten_lim_db"], steps)
            told = "no limit" if limit is None else f"at most {limit:g} dB is removed"
            self._do("atten-lim", lambda _: told, value=limit)

    def action_slot(self, slot: int) -> None:
        """Hear what is in a slot; an empty one asks for a model."""
        if self._state is None:
            return
        there = self._slots[slot]
        if there is None:
            self._choose(slot)
            return
        self._change(slot, *there)

    def action_other(self) -> None:
        """Hear the other slot."""
        self.action_slot(1 - self._slot)

    def action_choose(self) -> None:
        """Ask for the model of this slot."""
        if self._state is not None:
            self._choose(self._slot)

    def _choose(self, slot: int) -> None:
        """Ask for a model of the box or a file, and hear it in *slot*."""

        def work() -> None:
            try:
                cards = self._source.do("models")
            except RtdenoiseError as error:
                self._call(self.tell, _reason(error), True)
                return
            choices = [(card["name"], f"{card['name']:<18} {card['task']}") for card in cards]
            self._call(ask, choices)

        def ask(choices: list[tuple[str, str]]) -> None:
            question = f"Model of slot {slot + 1}: one of these, or a file"
            self.app.push_screen(AskPath(question, "", choices), chosen)

        def chosen(name: str | None) -> None:
            if name is not None:
                path = Path(name).expanduser()
                there = str(path.absolute()) if path.is_file() else name
                kind = "board" if path.suffix.lower() == ".toml" else "model"
                self._change(slot, kind, {"path": there} if kind == "board" else there, path.stem)

        self._source.put("models", work)

    def _change(self, slot: int, kind: str, value: Any, name: str) -> None:
        """Change to a model or a board, and put it into *slot* if it runs."""

        def told(answer: Any) -> str:
            runs = answer["model"] or "board " + ", ".join(answer["board"] or ())
            added = answer["delay_added"]
            self._call(self._in_slot, slot, (kind, value, name))
            later = "" if answer["heard"] else ", when sound comes again"
            return f"{runs} runs{later}" + (f"; the delay is {added} samples more" if added else "")

        self.tell(f"loading {name} ...")
        self._do(kind, told, value=value)

    def _in_slot(self, slot: int, there: tuple[str, Any, str]) -> None:
        self._slots[slot], self._slot = there, slot

    def action_board(self) -> None:
        """Ask for a board file."""

        def chosen(name: str | None) -> None:
            if name is not None:
                path = Path(name).expanduser()
                self._change(self._slot, "board", {"path": str(path.absolute())}, path.stem)

        if self._state is not None:
            self.app.push_screen(AskPath("Board file (.toml)"), chosen)

    def action_record(self) -> None:
        """Begin a recording, whose name is asked for, or end it."""
        if self._state is None:
            return
        if self._state["recording"] is not None:
            self._do("record", lambda end: f"recorded {end['file']}", value=None)
            return

        def chosen(name: str | None) -> None:
            if name is not None:
                path = str(Path(name).expanduser().absolute())
                self._do("record", lambda new: f"recording to {new['file']}", value=path)

        given = f"{datetime.now():rtdenoise-%Y%m%d-%H%M%S}.flac"
        self.app.push_screen(AskPath("Record the output to", given), chosen)

    def action_mark(self) -> None:
        """Mark this moment."""

        def told(folder: str | None) -> str:
            return "marked" if folder is None else f"the last seconds are in {folder}"

        if self._state is not None:
            self.tell("marking ...")
            self._do("mark", told, text="")

    def action_quit(self) -> None:
        """Ask whether the run ends, or only this screen."""

        def chosen(what: str | None) -> None:
            if what == END and self._state is not None:
                self._do("quit", lambda _: "the run ends")
                self._own = True  # the screen goes with it
            elif what is not None:
                self.app.exit()

        self.app.push_screen(AskEnd(END if self._own else CLOSE), chosen)

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(Help(KEYS))


def _reason(error: RtdenoiseError) -> str:
    """Return what an error says, and what helps here."""
    help_ = "; choose another name" if error.problem == Problem.EXISTS else ""
    gone = "; waiting for it" if isinstance(error, DeviceError) else ""
    return " ".join(str(error).split()) + help_ + gone
