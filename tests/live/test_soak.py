"""The soak of tools/soak.py: seconds of it, and each rule that it holds a run to."""

from __future__ import annotations

import copy
import importlib.util
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.virtual_card import needs_portaudio
from tests.toy_nets import Smoother, save

TOOL = Path(__file__).parents[2] / "tools" / "soak.py"


@pytest.mark.slow
@pytest.mark.jack
def test_a_short_soak_breaks_no_rule(tmp_path):
    """Memory, delay and counters of the real command; an hour of it is in docs/live.md."""
    needs_portaudio()
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("needs Linux's /proc")
    if shutil.which("jackd") is None or importlib.util.find_spec("jack") is None:
        pytest.skip("needs jackd and JACK-Client: apt install jackd2, pip install JACK-Client")
    model = save(Smoother(), tmp_path / "net.pt")
    flags = ["--minutes", "0.12", "--settle", "4", "-m", str(model)]
    soaks = {
        card: subprocess.Popen(
            [sys.executable, TOOL, card, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for card in ("jack", "file")
    }
    said = {card: soak.communicate(timeout=120)[0] for card, soak in soaks.items()}
    if "jackd did not start" in said["jack"]:
        pytest.skip("jackd cannot run here")

    for card, soak in soaks.items():
        assert soak.returncode == 0, said[card]
        assert f"| {card} | 0.1 |" in said[card]


def told(**changed):
    """The faults of a run of 100 s that is right but for *changed*."""
    called = 9375
    summary = {
        "seconds": called * 512 / 48_000, "callbacks": called, "hops": called, "dry": 0,
        "ended": "complete", "gaps": 0, "faults": 0, "failed": 0, "lost_recording": 0,
        "recording": {"silent_s": 0.0, "missing_s": 0.0},
    }  # fmt: skip
    run = {
        "summary": copy.deepcopy(summary) | changed.pop("summary", {}),
        "recorded": called * 512,
        "memory": [(float(at), 300.0 + (at < 30), 200.0 - (at < 30)) for at in range(0, 100, 5)],
        "delays": [(20.0, 1024), (80.0, 1024)],
    }
    return runpy.run_path(str(TOOL))["Soak"](**(run | changed)).faults(60.0)


def test_a_run_that_is_right_is_called_right():
    """Also if it stood still, and its recording has that silence; and what it did at the start."""
    stood = {"summary": {"recording": {"silent_s": 0.06, "missing_s": 0.0}}}

    assert told() == []
    assert told(**stood, recorded=9375 * 512 + 2880) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"memory": [(60.0, 300.0, 200.0), (99.0, 301.1, 200.0)]}, "resident memory grew by 1.10"),
        ({"memory": [(60.0, 300.0, 200.0), (99.0, 299.0, 201.1)]}, "anonymous memory grew by 1.10"),
        ({"delays": [(20.0, 1024), (80.0, 1025)]}, "delay is not constant"),
        ({"recorded": 9375 * 512 - 1}, "samples in the recording"),
        ({"summary": {"seconds": 100.01}}, "samples in callbacks"),
        ({"summary": {"hops": 9000}}, "9000 hops"),
        ({"summary": {"gaps": 1}}, "failed or had gaps"),
        ({"summary": {"failed": 1}}, "failed or had gaps"),
        ({"summary": {"ended": "stopped"}}, "failed or had gaps"),
        ({"summary": {"lost_recording": 512}}, "lost samples"),
    ],
)
def test_each_rule_that_is_broken_is_told(changed, fault):
    """Alone, and in words."""
    (said,) = told(**changed)
    assert fault in said
