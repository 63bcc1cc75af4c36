"""The editors of VST3 plugins: windows of their own, which pedalboard opens on the main thread."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from ..errors import UsageError
from . import native
from .board import within


def external(effect: Any) -> Iterator[Any]:
    """Return the VST3 plugins in *effect*, in the order of the sound."""
    return filter(native.is_external, within(effect))


def check(effect: Any) -> None:
    """Refuse to open editors where there is no plugin or no screen.

    Raises:
        UsageError: If there is none.
    """
    if not any(external(effect)):
        raise UsageError("there is no VST3 plugin that could have an editor")
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise UsageError("there is no screen for the editor of a plugin (DISPLAY is not set)")


def show(effect: Any, close: Event) -> None:
    """Open the editor of each VST3 plugin in *effect*, one after the other, on the main thread.

    Each stays open until the user closes it, or until *close* is set, which leaves out the rest.

    Raises:
        UsageError: If a plugin has no editor, or there is no screen.
    """
    with _x_errors_ignored():
        for plugin in external(effect):
            if close.is_set():
                return
            try:
                plugin.show_editor(close)
            except RuntimeError as error:
                raise UsageError(f"{plugin.name}: {' '.join(str(error).split())}") from None


@contextmanager
def _x_errors_ignored() -> Iterator[None]:
    """Return a context in which an error of X11 does not end the process, as Xlib would have it.

    Windows cause such errors all the time, for example when one is closed while it is asked for.
    """
    try:
        xlib = ctypes.CDLL("libX11.so.6") if sys.platform.startswith("linux") else None
    except OSError:
        xlib = None
    if xlib is None:
        yield
        return
    ignore = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: 0)
    xlib.XSetErrorHandler.restype = ctypes.c_void_p
    xlib.XSetErrorHandler.argtypes = [ctypes.c_void_p]
    before = xlib.XSetErrorHandler(ctypes.cast(ignore, ctypes.c_void_p))
    try:
        yield
    finally:
        xlib.XSetErrorHandler(before)
