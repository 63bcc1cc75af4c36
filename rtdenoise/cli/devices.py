"""List the sound devices that PortAudio finds: `rtdenoise live` takes an index or a name."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from .arguments import add_json

HELP = "list the sound devices"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --json to *parser*."""
    add_json(parser, "a list")


def run(args: argparse.Namespace) -> int:
    """Print a line for each device; > marks the default input, < the default output.

    Returns:
        The exit code.
    """
    from ..live.devices import all_devices

    devices = all_devices()
    if args.json:
        print(json.dumps([asdict(device) for device in devices], indent=1))
        return 0
    if not devices:
        print("PortAudio finds no sound devices. Files need none: --in file:x.wav --out null")
        return 0
    width = max(len(device.name) for device in devices)
    print(f"    index {'name':<{width}}  in out  rate Hz  latency ms in/out  host")
    for d in devices:
        marks = (">" if "input" in d.default else " ") + ("<" if "output" in d.default else " ")
        print(
            f" {marks} {d.index:>5} {d.name:<{width}} {d.inputs:>3} {d.outputs:>3}  {d.rate:>7}  "
            f"{d.input_latency_ms:>8.1f} / {d.output_latency_ms:<6.1f}  {d.host}"
        )
    print("> default input (mic), < default output (speakers)")
    return 0
