"""The options for the ends of a stream, which `live` and `doctor` share, and hints about them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..live.channels import Silence

# One input is named by its number, several by their sum or as stereo.
CHANNELS = "2, 1+2, 3,4 or sum"


def add_devices(parser: argparse.ArgumentParser, others: str) -> None:
    """Add -i/--in and -o/--out to *parser*, whose ends may be devices and *others*."""
    for short, long, kind, usual in (
        ("-i", "--in", "input", "mic"),
        ("-o", "--out", "output", "speakers"),
    ):
        parser.add_argument(
            short, long, dest="source" if kind == "input" else "out", default=usual,
            metavar="DEVICE",
            help=f"{kind}: index or part of the name of a device, {usual}, {others} "
            f"(default: {usual})",
        )  # fmt: skip


def add_form(parser: argparse.ArgumentParser, tried: str = "") -> None:
    """Add --rate, --channels, --block and --latency to *parser*.

    Args:
        parser: The parser.
        tried: Words that say what the verb does with a block and a latency that are given.
    """
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="sample rate of the sound (default: the net's)"
    )
    parser.add_argument(
        "--channels", type=int, metavar="N", help="channels of the sound, 1 or 2 (default: 1)"
    )
    parser.add_argument(
        "--block", type=int, metavar="N",
        help=f"samples per callback; 0 lets the device choose{tried} (default: one hop of the net)",
    )  # fmt: skip
    parser.add_argument(
        "--latency", default="low", metavar="low|high|SECONDS",
        help=f"latency to ask of the devices{tried} (default: low)",
    )  # fmt: skip


def add_ends(parser: argparse.ArgumentParser) -> None:
    """Add the channels that are used, the streams and what calls the effect to *parser*."""
    parser.add_argument(
        "--in-channels",
        metavar="N",
        help=f"channels of the input, as {CHANNELS}: + adds up (default: the first ones)",
    )
    parser.add_argument(
        "--out-channels",
        metavar="N",
        help=f"channels of the output, as {CHANNELS}: + plays on both (default: the first ones)",
    )
    add_robust(parser)
    parser.add_argument(
        "--streams",
        choices=("auto", "one", "two"),
        default="auto",
        help="streams of two devices: one, or two with a ring between that follows both clocks "
        "(default: two, unless both surely share a clock)",
    )


def add_robust(parser: argparse.ArgumentParser) -> None:
    """Add --robust to *parser*."""
    parser.add_argument(
        "--robust",
        nargs="?",
        type=int,
        const=True,
        default=0,
        metavar="HOPS",
        help="give the effect 2 to 4 hops of time, by which the sound is later, so that the device "
        "never waits for Python (default: 0, none; without a number: 4)",
    )


def ends_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings for `Live` that these options ask for."""
    return {
        "in_channels": args.in_channels,
        "out_channels": args.out_channels,
        "streams": args.streams,
        "robust": args.robust,
    }


def silence_hint(silence: Silence, platform: str = sys.platform) -> str:
    """Return what may be wrong with an input that gives digital silence.

    Args:
        silence: The silence.
        platform: Name of the system, as Python's `sys.platform` has it.
    """
    begin = f"nothing at all has come in for {silence.seconds:.0f} s"
    if silence.elsewhere:
        heard = ", ".join(map(str, silence.elsewhere))
        plural = "s" if len(silence.elsewhere) > 1 else ""
        fix = f"--in-channels {silence.elsewhere[0]}"
        return f"{begin}, but there is sound on channel{plural} {heard} of the device: {fix}"
    causes = "is the input muted, or is the sound on another device (`rtdenoise devices`)?"
    if platform == "darwin":
        causes += (
            " May this terminal use the microphone (System Settings > Privacy & Security > "
            "Microphone)?"
        )
    return f"{begin}: {causes}"


def worker_hint(worker: dict[str, Any] | None, platform: str = sys.platform) -> str | None:
    """Return what may disturb the worker of a run; None: nothing, or there is none.

    Args:
        worker: What `Live.summary` says about it.
        platform: Name of the system, as Python's `sys.platform` has it.
    """
    if worker is None or worker["priority"] == "real-time":
        return None
    fix = ""
    if platform == "linux":
        fix = (
            ". Give group audio `rtprio 95` in /etc/security/limits.d/audio.conf, and log in again"
        )
    return f"--robust has no real-time priority: while other programs are busy, it is worse{fix}"


def ring_notes(ring: dict[str, Any] | None) -> list[str]:
    """Return what a summary says about the ring between two devices; nothing if there is none."""
    if ring is None:
        return []
    notes = [f"the devices' clocks differ by {ring['drift_ppm']:.0f} ppm, which was corrected"]
    faults = {
        "blocks had gaps because the input was late": ring["underruns"],
        "blocks of the input were lost because the output stood still": ring["overruns"],
        "times the delay between the devices was set anew": ring["recentred"],
    }
    notes += [f"{count} {what}" for what, count in faults.items() if count]
    if ring["underruns"]:
        notes[-1] += ". If this goes on: --latency high"
    if ring["fault"]:
        notes.append(f"the last error between the devices: {ring['fault']}")
    return notes
