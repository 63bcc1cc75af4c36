"""`rtdenoise serve`: a process that serves, and ends in order."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs rtdenoise[serve]")
connecting = pytest.importorskip("websockets.sync.client", reason="needs rtdenoise[serve]")

from rtdenoise.cli import main  # noqa: E402
from rtdenoise.serve.protocol import END, Hello  # noqa: E402
from rtdenoise.sound.reader import SoundReader  # noqa: E402

PATIENCE_S = 60


@contextmanager
def serving(*words):
    """A process that serves at a free port, and the address that it prints."""
    command = [sys.executable, "-m", "rtdenoise", "serve", "--port", "0", "--most", "2", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def read(path):
    """The samples of a sound file."""
    with SoundReader(path) as reader:
        return np.concatenate(list(reader), axis=1)


def test_a_process_serves_what_file_writes_and_ends_in_order(clips, tmp_path):
    """SIGTERM lets a stream end; its samples are those of `rtdenoise file`, to a step."""
    source, target = clips / "noisy_8k.wav", tmp_path / "out.wav"
    assert main(["file", str(source), "-o", str(target), "-q"]) == 0
    hello = Hello(8000)
    with serving() as (process, url), connecting.connect(url) as ws:
        ws.send(hello.text())
        latency = json.loads(ws.recv(timeout=PATIENCE_S))["ready"]["latency_samples"]
        process.send_signal(signal.SIGTERM)
        assert json.loads(ws.recv(timeout=PATIENCE_S)) == {"draining": {"seconds": 30.0}}
        ws.send(hello.encoded(read(source)))
        ws.send(END)
        got = []
        while isinstance(message := ws.recv(timeout=PATIENCE_S), bytes):
            got.append(message)
        assert json.loads(message)["done"]["failed"] == 0
        assert process.wait(PATIENCE_S) == 0
        assert "Traceback" not in process.stderr.read()
    served, written = hello.decoded(b"".join(got))[:, latency:], read(target)

    assert served.shape == written.shape
    np.testing.assert_allclose(served, written, rtol=0, atol=2**-15)
    assert np.count_nonzero(served != written) < served.size / 1000


def test_a_second_signal_ends_the_streams(tmp_path):
    """The client is told, and no token is in what the process prints."""
    tokens, board = tmp_path / "tokens", tmp_path / "call.toml"  # without a net, it begins sooner
    tokens.write_text("hush-hush\n")
    board.write_text('[[effect]]\ntype = "Gain"\ngain_db = -6\n')
    words = ["-vv", "--token-file", str(tokens), "--drain", "600", "--board", str(board)]
    with (
        serving(*words) as (process, url),
        connecting.connect(url) as ws,
    ):
        ws.send(Hello(48_000, token="hush-hush").text())
        assert "ready" in ws.recv(timeout=PATIENCE_S)
        process.send_signal(signal.SIGINT)
        assert "draining" in ws.recv(timeout=PATIENCE_S)
        process.send_signal(signal.SIGINT)
        assert "ends" in json.loads(ws.recv(timeout=PATIENCE_S))["error"]
        assert process.wait(PATIENCE_S) == 0
        told = process.stderr.read()

    assert "hush" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "give --token-file, or --no-token"),
        (["--host", "::"], "give --token-file, or --no-token"),
        (["--host", "example.org"], "give --token-file, or --no-token"),
        (["--replicas", "2"], "--replicas is about a Ray cluster: give --on"),
        (["--on", "ray", "--replicas", "0"], "--replicas 0: wanted 1 or more"),
        (["--on", "slurm"], "--on slurm: wanted here, ray or an address of Ray"),
        (["--on", "127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1 (connection refused)"),
        (["--on", "ray", "--tls-cert", "c.pem"], "--tls-cert is not for Ray"),
        (["--most", "0"], "--most 0: wanted 1 or more"),
        (["--idle", "0"], "--idle 0: wanted more than 0 s"),
        (["--idle", "nan"], "--idle nan: wanted more than 0 s"),
        (["--drain", "-1"], "--drain -1: wanted 0 s or more"),
        (["--tls-key", "k.pem"], "give --tls-cert"),
        (["--tls-cert", "missing.pem"], "missing.pem cannot be used"),
        (["--token-file", "missing"], "cannot read the tokens in missing: no such file"),
        (["--token-file", "EMPTY"], "has no token: wanted one a line"),
        (["--token-file", "EMPTY", "--no-token"], "exclude each other"),
        (["--port", "70000"], "port 70000 cannot be used"),
        (["--board", "missing.toml"], "cannot read the board missing.toml"),
        (["-m", "speech", "-m", "speech"], "two models or boards are called speech"),
    ],
)
def test_a_server_that_cannot_be_is_refused_in_a_line(words, told, tmp_path, capsys):
    """Before anything is served; the line says what to type."""
    (tmp_path / "empty").write_text("# no token\n")
    given = [str(tmp_path / "empty") if word == "EMPTY" else word for word in words]

    assert main(["serve", *given]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_model_that_is_not_there_is_refused(capsys):
    """With the names of those that are."""
    assert main(["serve", "-m", "nothing"]) == 4
    assert "In the box: " in capsys.readouterr().err


def test_without_the_extra_the_line_says_how_to_install_it(monkeypatch, capsys):
    """The packages are no dependency of all others' use."""
    for name in ("server", "run", "menu"):
        monkeypatch.delitem(sys.modules, f"rtdenoise.serve.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    assert main(["serve"]) == 2
    assert "pip install 'rtdenoise[serve]'" in capsys.readouterr().err
