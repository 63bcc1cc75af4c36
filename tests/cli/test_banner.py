"""What a terminal shows of a live stream: who is connected, what is known, and one line."""

from __future__ import annotations

import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl

import pytest

from rtdenoise.cli.banner import banner, latency_text
from rtdenoise.cli.status import StatusLine, status_text

STATUS = {
    "in_db": -12.3,
    "out_db": -14.9,
    "p50_ms": 1.9,
    "p99_ms": 2.5,
    "load_percent": 23.4,
    "xruns": 3,
    "late": 21,
}
WORST = STATUS | {"in_db": -200.0, "out_db": -200.0, "load_percent": 999.0, "xruns": 99}


def test_the_banner_names_all_that_is_connected_and_how_to_end_it():
    """Both devices, the model, the rate, the delay."""
    parts = {"device in": 5.0, "block": 10.0, "device out": 6.5}
    text = banner(("[3] USB mic, ALSA", "null"), "speech", 44_100, parts)

    for part in ("[3] USB mic, ALSA", "null", "speech", "44100 Hz", "= 21.5", "Ctrl-C ends it"):
        assert part in text


@pytest.mark.parametrize("unknown", [["device in"], ["device out"], ["device in", "device out"]])
def test_an_unknown_part_of_the_latency_is_not_zero(unknown):
    """The sum is a lower bound then, and says so."""
    parts = {"device in": 4.0, "block": 10.0, "device out": 5.0} | dict.fromkeys(unknown)
    text = latency_text(parts)
    known = sum(ms for ms in parts.values() if ms is not None)

    assert text.count("unknown") == len(unknown)
    assert text.endswith(f"= more than {known:.1f}")
    assert "more than" not in latency_text({"device in": 0.0, "block": 10.0})


@pytest.mark.parametrize("status", [STATUS, WORST], ids=["usual", "worst"])
def test_the_status_line_fits_any_width_and_grows_with_it(status):
    """From 40 columns on (one stays free), nothing that matters is cut off."""
    lines = [status_text(status, width) for width in range(300)]

    assert all(len(line) <= width for width, line in enumerate(lines))
    assert [len(line) for line in lines] == sorted(len(line) for line in lines)
    for line in lines[39:]:
        assert re.search(rf"in\b.* {status['in_db']:.0f}\b.*out\b.* {status['out_db']:.0f}\b", line)
        assert f"xruns {status['xruns']}" in line
        assert re.search(rf"late {status['late']}$", line)
    for width, part in (
        (60, " dB"),
        (80, "load 23 %"),
        (200, "p99 2.50 ms (23 % of the deadline)"),
    ):
        assert status is WORST or part in lines[width]


def test_the_line_follows_the_terminal_that_is_resized(monkeypatch):
    """A line that a narrower terminal has broken in three is erased as a whole."""
    outer, inner = pty.openpty()

    def resize(columns: int) -> None:
        ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    with os.fdopen(inner, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("COLUMNS", "200")  # a shell's variable stays as it was
        line, shown = StatusLine(), []
        for columns in (120, 50, 200, 40):
            resize(columns)
            line.show(STATUS)
            shown.append(os.read(outer, 10_000).decode())
        line.clear()
        shown.append(os.read(outer, 10_000).decode())
    os.close(outer)
    texts = [status_text(STATUS, columns - 1) for columns in (120, 50, 200, 40)]
    above = (len(texts[0]) - 1) // 50, (len(texts[2]) - 1) // 40

    assert shown == [
        f"\r\x1b[J{texts[0]}",
        f"\x1b[{above[0]}A\r\x1b[J{texts[1]}",
        f"\r\x1b[J{texts[2]}",
        f"\x1b[{above[1]}A\r\x1b[J{texts[3]}",
        "\r\x1b[J",
    ]
