"""What a live run does beside its sound: it claims, tells its service manager, and remembers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from ..live import presets
from ..live.claims import claimed
from ..live.devices import Kind, PortAudio
from ..live.notify import Notifier
from .layers import ENDS, FILE, PRESET, TYPED, variable

# What one run at a time may use, by the option that names it; a file is claimed by its path.
CLAIMED = {
    PRESET: "preset",
    "virtual-mic": "virtual device",
    "incoming": "virtual device",
    "control": "control name",
}
RECORDING = "recording"


@contextmanager
def beside(args: argparse.Namespace) -> Iterator[Notifier]:
    """Return a context for a run with *args*, the settled options.

    It claims what only one run may use. Its end is told to the service manager, and if the run
    worked, the devices that it was given are remembered for its preset.

    Raises:
        DeviceError: If another run uses the same; the message names its process.
    """
    with ExitStack() as stack:
        for kind, name in _claims(args):
            stack.enter_context(claimed(kind, name))
        notifier = Notifier()
        stack.callback(notifier.close)
        stack.callback(notifier.stopping)
        yield notifier
        _remember_devices(args)


def _claims(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each thing that only one run may use."""
    options = args.layers.options
    for key, kind in CLAIMED.items():
        value = getattr(args, options[key].dest, None) if key in options else None
        if value:
            yield kind, str(value)
    sink = args.out.removeprefix(FILE) if args.out.startswith(FILE) else None
    for path in filter(None, (args.record, sink)):
        if not os.path.exists(path) or os.path.isfile(path):
            yield RECORDING, os.path.realpath(path)


def _remember_devices(args: argparse.Namespace) -> None:
    """Remember the devices that were given to a run with a preset, by their names."""
    if not args.preset:
        return
    devices = {}
    for key, kind in ENDS.items():
        words = getattr(args, args.layers.options[key].dest)
        chosen = args.origins[key] in (TYPED, variable(key))
        if chosen and words != "null" and not words.startswith(FILE):
            devices[key] = _lasting(words, kind)
    presets.remember(args.preset, devices)


def _lasting(words: str, kind: Kind) -> str:
    """Return the name of a device instead of its index, which is another one at the next start."""
    if words.isdecimal():
        with suppress(Exception):  # whatever the driver raises, the run has worked
            cards = PortAudio()
            device = cards.find(words, kind)
            name = f"{device.name}, {device.host}"
            if cards.find(name, kind) == device:
                return name
    return words
