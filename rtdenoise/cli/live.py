"""Remove noise from live sound: microphone in, speakers or a virtual cable out.

  rtdenoise live                                     use the default microphone and speakers
  rtdenoise live --in usb --out blackhole            name devices by a part of their names
  rtdenoise live --in file:x.wav --out file:y.wav    use no sound card; add --clock fast not to wait
  rtdenoise live --preset call                       use the options of `rtdenoise preset save call`
  rtdenoise live --virtual-mic                       give other programs a clean microphone (Linux)
  rtdenoise live --incoming                          clean what others send (Linux)

It prints the parts of the latency at the start, and a summary at the end. In a terminal it opens a
screen with meters, a spectrogram and keys, where Ctrl-C asks; --no-tui gives a status line, and
Ctrl-C ends the run. Use headphones: with speakers the microphone picks up the output and it feeds
back. docs/live.md has more.

SIGUSR1 writes the last 20 seconds into a folder; docs/flight-recorder.md has more.

Exit codes: 0 ended or stopped by Ctrl-C, 1 a file could not be read or written, 2 usage, 3 device,
4 model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, ModelError, Problem, UsageError, printable
from .arguments import (
    add_board,
    add_force,
    add_json,
    add_model,
    add_preset,
    add_quiet,
    add_strength,
    file_name,
    parameters,
    strength,
)
from .banner import banner, summary_text
from .editor import add_editor, beside_editor, check_editor
from .ends import add_devices, add_ends, add_form, ends_settings, silence_hint, worker_hint
from .flights import add_flights, asked_by_signal, flights_settings, write_flight
from .interrupt import bounded, until_interrupted
from .layers import DEFAULT, TYPED, Layers
from .log import log_line
from .running import beside
from .screen import ScreenProcess, screen_wanted
from .virtual import ADVICE as SERVER_ADVICE, add_virtual, told, virtual_device

if TYPE_CHECKING:
    from threading import Event

    from ..chain.effect import Effect
    from ..live.live import Live
    from ..live.notify import Notifier
    from .status import StatusLine

HELP = "clean live sound: microphone in, speakers out"
FLAGS = {
    "duration_s": "--duration",
    "input": "--in",
    "output": "--out",
    "in_channels": "--in-channels",
    "out_channels": "--out-channels",
    "tap_seconds": "--flight-recorder",
}
ADVICE = SERVER_ADVICE | {
    Problem.EXISTS: "Choose another name, or overwrite it: -f",
    Problem.ITSELF: "Choose another name",
    Problem.LONG_NAME: "Choose a shorter name",
    Problem.FOLDER_OUT: "Choose another folder",
    Problem.UNFINISHED: "`rtdenoise recover` makes a file of it",
    Problem.FORMAT: "Give another format: --out file:NAME.flac or --record NAME.flac",
}
STUCK = (
    "rtdenoise live: the net does not return, so the run was ended; "
    "`rtdenoise recover` finishes what it recorded"
)
LOOK_S = 0.1  # time between two updates of the meters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings and --preset to *parser*; `run` finds where their values come from."""
    add_settings(parser)
    add_preset(parser)
    Layers(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the ends, the blocks, the dry/wet settings and the recording to *parser*."""
    add_devices(parser, "file:PATH or null")
    add_virtual(parser)
    add_model(parser)
    add_strength(parser)
    add_board(parser)
    add_editor(parser)
    parser.add_argument(
        "--watch", action="store_true", help="load the board file anew whenever it is saved"
    )
    parser.add_argument(
        "--ready", metavar="NAME|PATH[,...]",
        help="models and boards to load at the start, so that `rtdenoise ctl` changes to them "
        "without a pause",
    )  # fmt: skip
    add_form(parser)
    add_ends(parser)
    parser.add_argument(
        "--clock",
        choices=("real", "fast"),
        default="real",
        help="pace of files: real time, or as fast as possible (default: real)",
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after this time")
    parser.add_argument(
        "--record",
        type=file_name,
        metavar="FILE",
        help="also write the output to a file; until the end it is FILE.part.wav",
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="end with exit code 3 when a device is gone, instead of waiting until it is back",
    )
    parser.add_argument(
        "--no-tui", action="store_true", help="show a status line instead of the screen with meters"
    )
    add_flights(parser)
    add_force(parser)
    add_json(parser, "the summary")
    add_quiet(parser)


def make_effect(args: argparse.Namespace) -> Effect:
    """Return the effect that the flags ask for: a board or a model."""
    from ..chain.effect import Denoise, with_strength

    if args.board:
        from ..chain.boardfile import open_board

        return with_strength(open_board(args.board), strength(args))
    return Denoise(args.model, args.mix, args.atten_lim, args.residual, **parameters(args))


def run(
    args: argparse.Namespace, make: Callable[[argparse.Namespace], Effect] = make_effect
) -> int:
    """Run a `Live` and show it; return the exit code.

    Ctrl-C, SIGTERM and a closed terminal are no errors: they end the run, and the exit code is 0.

    Args:
        args: The flags.
        make: Function that makes the effect.
    """
    from .lean import import_lean

    args = args.layers.settled(args)
    import_lean("" if args.board else args.model)
    from ..live.control import Control
    from ..live.live import Live
    from ..live.watch import BoardWatch, KindWatch
    from .status import StatusLine

    silent = args.quiet or args.json
    line = StatusLine(silent)
    settings = checked(args)
    with _named_by_flags(args):
        virtual = virtual_device(args)
        effect = make(args)
        check_editor(args, effect)
        live = Live(args.source, args.out, effect, **settings, cards=virtual)
    tell = _Teller(live, line, args.quiet)
    try:
        with (
            beside(args) as notifier,
            until_interrupted() as stop,
            asked_by_signal() as mark,
            bounded(STUCK, ModelError.exit_code, live.call),
            ExitStack() as running,
        ):
            if virtual is not None:
                delay_ms = running.enter_context(virtual).test()
                if not silent:
                    log_line(told(virtual, args, delay_ms))
            with _named_by_flags(args):
                running.enter_context(live)
            for watch in (KindWatch, BoardWatch) if args.watch else (KindWatch,):
                running.enter_context(watch(live))
            running.enter_context(Control(live, args.preset))
            if not silent:
                _introduce(live, args.board or args.model)
            screen = running.enter_context(_screen(args))
            beside_editor(
                args,
                lambda: live.effect,
                lambda: _show(live, line, tell, notifier, stop, mark, screen, not silent),
            )
    finally:
        line.clear()
        tell()
    if args.json:
        print(json.dumps(live.summary()))
    elif not args.quiet:
        log_line(summary_text(live.summary()))
    return 0


def _screen(args: argparse.Namespace) -> ScreenProcess:
    """Return the screen of a run with *args*, which opens nothing if none is wanted."""
    fast = args.clock == "fast"  # it is over in seconds
    return ScreenProcess(screen_wanted(args.quiet or args.json or args.no_tui or fast))


def _introduce(live: Live, processed_by: str) -> None:
    """Print what a run is that has just begun."""
    begun = live.summary()
    log_line(banner(live.ends, processed_by, begun["rate"], live.latency_ms))
    if disturbed := worker_hint(begun["worker"]):
        log_line(disturbed)


def _show(
    live: Live,
    line: StatusLine,
    tell: _Teller,
    notifier: Notifier,
    stop: Event,
    mark: Event,
    screen: ScreenProcess,
    hint: bool,
) -> None:
    """Show the run until it is over, and end it when *stop* is set.

    Args:
        live: The run.
        line: The status line.
        tell: What prints events and notes.
        notifier: What tells the service manager.
        stop: Event that asks for the end.
        mark: Event that asks for a flight.
        screen: What shows the run instead of the line, while it is open.
        hint: Whether a silent input is told, one time.
    """
    while not live.wait(LOOK_S):
        if mark.is_set():
            mark.clear()
            write_flight(live, tell.say)
        tell()
        if hint and (silence := live.silence()):
            hint = False
            line.clear()
            log_line(silence_hint(silence))
        covered = screen.open(tell.say)
        if notifier.listens or (line.shows and not covered):
            status = live.status()
            if not covered:
                line.show(status)
            notifier.running(status, waiting=live.waiting)
        if stop.is_set():
            notifier.stopping()
            live.stop()


class _Teller:
    """It prints what the user should read at once, one time, in the place of the status line.

    Args:
        live: The run, whose events come from another thread than this one.
        line: The status line.
        quiet: Whether what happens to the devices is left out.
    """

    def __init__(self, live: Live, line: StatusLine, quiet: bool) -> None:
        self._live, self._line, self._quiet = live, line, quiet
        self._told = 0

    def __call__(self) -> None:
        """Print what is new."""
        events = self._live.events[self._told :]
        self._told += len(events)
        texts = [event.text for event in events if not self._quiet] + self._live.notes()
        for text in texts:
            self.say(text)

    def say(self, text: str) -> None:
        """Print *text*."""
        self._line.clear()
        log_line(f"rtdenoise live: {printable(text)}")


def checked(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings for `Live` that *args* mean; refuse wrong ones."""
    with _named_by_flags(args):
        return _settings(args)


@contextmanager
def _named_by_flags(args: argparse.Namespace) -> Iterator[None]:
    """Return a context whose errors name the flags, and the layer if it is not the command line."""
    from ..live.devices import DeviceNameError
    from ..live.negotiate import WishError

    try:
        yield
    except WishError as error:
        flag = FLAGS.get(error.setting, f"--{error.setting}")
        place = _from_layer(args, flag)
        value = "" if error.value is True else f" {error.value}"
        raise UsageError(f"{flag}{value}{place}: {error.reason}") from error
    except DeviceNameError as error:
        flag = FLAGS[error.kind]
        raise DeviceError(error.worded(flag + _from_layer(args, flag)), error.problem) from error


def _from_layer(args: argparse.Namespace, flag: str) -> str:
    """Return where the value of *flag* comes from in brackets, if it was not typed."""
    origin = args.origins.get(flag.removeprefix("--"), DEFAULT)
    return "" if origin in (DEFAULT, TYPED) else f" ({origin})"


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings for `Live`; refuse wrong ones before a model is loaded."""
    from ..live.ends import FileEnd, NullEnd, parse_end
    from ..live.negotiate import Wishes

    try:
        latency: str | float = float(args.latency)
    except ValueError:
        latency = args.latency
    settings = {
        "rate": args.rate or None,
        "channels": args.channels or None,
        "block": args.block,
        "latency": latency,
        "clock": args.clock,
        "duration_s": args.duration,
        "record": args.record or None,
        "overwrite": args.force,
        **ends_settings(args),
        **flights_settings(args),
        "wait_for_device": not args.no_wait,
    }
    Wishes(**settings)
    settings["ready"] = args.ready.split(",") if args.ready else ()
    source, sink = parse_end(args.source, "input"), parse_end(args.out, "output")
    if args.record and isinstance(sink, FileEnd):
        raise UsageError("--record and --out file: both write the processed sound; leave one out")
    if isinstance(source, NullEnd) and isinstance(sink, NullEnd) and args.duration is None:
        raise UsageError("--in null --out null never ends: give --duration")
    strength(args)
    return settings
