"""The verb `panel`: it prints the address of its page, and leaves no run of its own behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from rtdenoise.cli import main

needs_signals = pytest.mark.skipif(
    sys.platform == "win32", reason="a signal ends a process at once"
)


def test_a_run_that_is_not_there(monkeypatch, tmp_path, capsys):
    """Exit code 3, with what to type to start one on the page."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(["panel", "nosuch"]) == 3
    assert "rtdenoise panel" in capsys.readouterr().err


def test_a_port_that_is_none(capsys):
    """Exit code 2, with the way out."""
    assert main(["panel", "--port", "70000"]) == 2
    assert "0 takes a free one" in capsys.readouterr().err


@needs_signals
def test_ctrl_c_ends_it_and_its_run(tmp_path):
    """The address is one line on stdout; a run that it started ends with it, with a word."""
    (tmp_path / "gain.toml").write_text("[[effect]]\ntype = 'Gain'\n")
    words = [sys.executable, "-m", "rtdenoise", "panel"]
    with subprocess.Popen(words, stdout=-1, stderr=-1, text=True, cwd=tmp_path) as panel:
        assert panel.stdout is not None
        url = panel.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", url)
        settings = {"in": "null", "out": "file:out.wav", "board": "gain.toml"}
        body = json.dumps({"do": "start", "settings": settings}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{url}do", body), timeout=60) as reply:
            pid = json.load(reply)["result"]["pid"]
        panel.send_signal(signal.SIGINT)
        out, err = panel.communicate(timeout=120)
    assert (panel.returncode, out) == (0, "")
    assert f"the run {pid}, which it started, ends with it" in err
    assert subprocess.run(["ps", "-p", str(pid)], stdout=subprocess.DEVNULL).returncode == 1
