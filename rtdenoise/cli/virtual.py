"""The options of `rtdenoise live` that give other programs a microphone or speakers."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..errors import Problem, UsageError

if TYPE_CHECKING:
    from ..live.virtual_mic import VirtualDevice

MICROPHONE, SPEAKERS = "rtdenoise", "rtdenoise speakers"
ADVICE = {
    Problem.SOUND_SERVER: "Is it running? systemctl --user start pipewire-pulse, or else "
    "pulseaudio --start",
}
# The systems whose users install a virtual device, and what they do then.
OTHERS = {
    "darwin": (
        "macOS: install BlackHole (https://existential.audio/blackhole)",
        {
            "virtual_mic": "run `rtdenoise live --out blackhole`, and choose BlackHole as the "
            "microphone",
            "incoming": "choose BlackHole as the speakers of the other program, and run "
            "`rtdenoise live --in blackhole`",
        },
    ),
    "win32": (
        "Windows: install VB-Cable (https://vb-audio.com/Cable)",
        {
            "virtual_mic": 'run `rtdenoise live --out "cable input"`, and choose CABLE Output as '
            "the microphone",
            "incoming": "choose CABLE Input as the speakers of the other program, and run "
            '`rtdenoise live --in "cable output"`',
        },
    ),
}


def add_virtual(parser: argparse.ArgumentParser) -> None:
    """Add --virtual-mic and --incoming to *parser*."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--virtual-mic", nargs="?", const=MICROPHONE, metavar="NAME",
        help=f"give other programs a microphone called NAME (default: {MICROPHONE}; Linux)",
    )  # fmt: skip
    either.add_argument(
        "--incoming", nargs="?", const=SPEAKERS, metavar="NAME",
        help="clean what others send: give other programs speakers called NAME "
        f"(default: {SPEAKERS}; Linux)",
    )  # fmt: skip


def virtual_device(args: argparse.Namespace) -> VirtualDevice | None:
    """Return the virtual device that the flags ask for, and make it an end in *args*.

    It is at the server in its `with` block. None: no flag asks for one.

    Raises:
        UsageError: If the system has no such devices, or the end is given as well.
    """
    asked = "virtual_mic" if args.virtual_mic is not None else "incoming"
    title = getattr(args, asked)
    if title is None:
        return None
    if sys.platform in OTHERS:
        install, then = OTHERS[sys.platform]
        raise UsageError(
            f"{_flag(asked)} needs PulseAudio or PipeWire. On {install}, {then[asked]}"
        )
    from ..live.virtual_mic import VirtualDevice

    if asked == "virtual_mic":
        if args.out != "speakers":
            raise UsageError(f"--virtual-mic is the output: leave out --out {args.out}")
        args.out = title
        return VirtualDevice("microphone", title, args.channels or 1, args.rate or 48_000)
    if args.source != "mic":
        raise UsageError(f"--incoming is the input: leave out --in {args.source}")
    args.source, args.channels = title, args.channels or 2
    return VirtualDevice("speakers", title, args.channels, args.rate or 48_000)


def told(device: VirtualDevice, args: argparse.Namespace, delay_ms: float) -> str:
    """Return the lines that say what to choose in the other program."""
    if args.virtual_mic is not None:
        what, where = "microphone", "virtual microphone"
    else:
        what, where = "speakers", "virtual speakers"
    lines = [
        f'{where} "{device.title}": choose it as the {what} in Zoom, Discord, OBS or any program',
        f"  a test tone came through it in {delay_ms:.0f} ms; it is removed when rtdenoise ends",
    ]
    lines += [
        f"  the server made {name} its default; pactl set-default-sink and set-default-source "
        "choose another"
        for name in device.defaults()
    ]
    return "\n".join(lines)


def _flag(setting: str) -> str:
    """Return the flag that sets *setting*."""
    return "--" + setting.replace("_", "-")
