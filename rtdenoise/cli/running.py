"""What a live run does beside its sound: it claims, tells its service manager, and remembers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from ..live import presets
from ..live.claims import claimed
from ..live.notify import Notifier
from .layers import ENDS, PRESET, TYPED, variable

if TYPE_CHECKING:
    from ..live.devices import Kind

# What one run at a time may use, by the option that names it; a file is claimed by its path.
CLAIMED = {PRESET: "preset", "virtual-mic": "virtual device", "incoming": "virtual device"}
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
    from ..live.ends import FileEnd, parse_end
    from ..sound.growing import grows

    for key, kind in CLAIMED.items():
        if value := getattr(args, args.layers.options[key].dest):
            yield kind, str(value)
    sink = parse_end(args.out, "output")
    for path in (args.record, sink.path if isinstance(sink, FileEnd) else None):
        if path and grows(path):
            yield RECORDING, os.path.realpath(path)


def _remember_devices(args: argparse.Namespace) -> None:
    """Remember the devices that were given to a run with a preset, by their names."""
    from ..live.ends import DeviceEnd, parse_end

    if not args.preset:
        return
    devices = {}
    for key, kind in ENDS.items():
        words = getattr(args, args.layers.options[key].dest)
        virtual = args.virtual_mic if key == "out" else args.incoming
        chosen = args.origins[key] in (TYPED, variable(key)) and virtual is None
        if chosen and isinstance(parse_end(words, kind), DeviceEnd):
            devices[key] = _lasting(words, kind)
    presets.remember(args.preset, devices)


def _lasting(words: str, kind: Kind) -> str:
    """Return the name of a device instead of its index, which is another one at the next start."""
    from ..live.devices import PortAudio

    if words.isdecimal():
        with suppress(Exception):  # whatever the driver raises, the run has worked
            cards = PortAudio()
            device = cards.find(words, kind)
            name = f"{device.name}, {device.host}"
            if cards.find(name, kind) == device:
                return name
    return words
