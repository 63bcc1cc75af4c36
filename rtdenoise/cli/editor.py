"""The windows of VST3 plugins, and boards that are saved as they were set there."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

from ..errors import Problem, UsageError, printable
from .arguments import file_name
from .log import log_line

if TYPE_CHECKING:
    from ..chain.effect import Effect


def add_editor(parser: argparse._ActionsContainer) -> None:
    """Add --editor and --save-board to *parser*."""
    parser.add_argument(
        "--editor",
        action="store_true",
        help="open the windows of the board's VST3 plugins, one after the other",
    )
    parser.add_argument(
        "--save-board",
        type=file_name,
        metavar="TOML",
        help="write the board as it is set at the end, with all that its VST3 plugins keep; the "
        "name of --board itself may be given, but its comments are lost",
    )


def check_editor(args: argparse.Namespace, effect: Effect) -> None:
    """Refuse --editor and --save-board where they cannot work, before anything begins.

    Raises:
        UsageError: If there is no plugin, no screen, no board, or the file exists.
    """
    from ..chain import editor

    if args.editor:
        try:
            editor.check(effect)
        except UsageError as error:
            raise UsageError(f"--editor: {error}") from None
    target = args.save_board
    if target and not args.board:
        raise UsageError("--save-board saves the board of --board, and there is none")
    itself = target and os.path.realpath(target) == os.path.realpath(args.board)
    if target and os.path.exists(target) and not (args.force or itself):
        raise UsageError(f"{target} exists already", Problem.EXISTS)


def edit(args: argparse.Namespace, effect: Effect) -> None:
    """Open the windows until the user closes them, before files are processed; save the board."""
    from ..chain import editor

    with _saved(args, lambda: effect):
        if args.editor:
            editor.show(effect, Event())


def beside_editor(
    args: argparse.Namespace, current: Callable[[], Effect], show: Callable[[], None]
) -> None:
    """Run *show* until it returns, with the windows open beside it; then save the board.

    The windows need the main thread, so *show* has another one while they are open. What is saved
    is the board that runs at the end, which *current* returns: without the dry/wet settings of the
    flags, which are about the run.
    """
    from ..chain import editor

    over = Event()
    with _saved(args, current):
        if not args.editor:
            show()
            return
        with ThreadPoolExecutor(1, "rtdenoise-show") as pool:
            shown = pool.submit(show)
            shown.add_done_callback(lambda _: over.set())
            try:
                editor.show(current(), over)
            except UsageError as error:  # the sound goes on
                log_line(f"rtdenoise live: {printable(error)}")
            shown.result()


@contextmanager
def _saved(args: argparse.Namespace, current: Callable[[], Effect]) -> Iterator[None]:
    """Return a context that saves the board at its end, or says what is lost."""
    from ..chain.boardfile import save_board

    before = _states(current()) if args.editor else []
    yield
    effect, quiet = current(), args.quiet or args.json
    if args.save_board:
        save_board(effect, args.save_board)
        if not quiet:
            log_line(f"the board: {printable(args.save_board)}")
    elif args.editor and not quiet and before != _states(effect):
        log_line("what was set in the editor was for this run: --save-board FILE.toml keeps it")


def _states(effect: Any) -> list[str]:
    """Return the states of the plugins of a board."""
    from ..chain import editor, vst3

    return [vst3.state(plugin) for plugin in editor.external(effect)]
