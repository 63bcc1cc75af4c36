"""`rtdenoise stream`: a file through a server, as `rtdenoise file` would clean it here."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile as sf

pytest.importorskip("starlette", reason="needs the extra: pip install 'rtdenoise[serve]'")

from rtdenoise.cli import main
from rtdenoise.serve.menu import Menu
from rtdenoise.serve.run import serving
from rtdenoise.serve.server import Settings
from tests.serve.fake import Turn, faked
from tests.sounds import noise, read, tell_files, write
from tests.toy_nets import Breaks, Smoother, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Model files: one with memory, and one that gives NaN."""
    folder = tmp_path_factory.mktemp("models")
    save(Smoother(), folder / "smoother.pt")
    save(Breaks(4), folder / "breaks.pt")
    return folder


@pytest.fixture(scope="module")
def url(folder):
    """The address of a server with both, which wants a token."""
    menu = Menu([str(folder / "smoother.pt"), str(folder / "breaks.pt")])
    with serving(menu, Settings(most=2, tokens=("secret",))) as listener:
        yield listener.url


@pytest.fixture
def token(monkeypatch):
    """The token, in the environment."""
    monkeypatch.setenv("RTDENOISE_TOKEN", "secret")


def test_the_same_file_as_here(url, token, folder, clips, tmp_path, capsys):
    """At another rate, in stereo and in 16 bits; a second run does not replace it unasked."""
    source = str(clips / "noisy_stereo_44k.flac")
    here, there = tmp_path / "here.flac", tmp_path / "there.flac"
    strength = ["--mix", "80", "--atten-lim", "20"]
    net = str(folder / "smoother.pt")
    assert main(["file", source, "-o", str(here), "-m", net, "-q", *strength]) == 0
    assert main(["stream", url, source, "-o", str(there), "--json", *strength]) == 0
    line = json.loads(capsys.readouterr().out)
    assert main(["stream", url, source, "-o", str(there)]) == 1
    told = capsys.readouterr().err

    assert np.abs(read(here) - read(there)).max() <= 2**-15
    assert sf.info(there).subtype == "PCM_16"
    assert line["frames"] == sf.info(source).frames
    assert line["latency"] > 0
    assert "overwrite it (-f)" in told


def test_a_net_that_fails_there_writes_nothing(url, token, tmp_path, rng, capsys):
    """As here: a file must not look finished."""
    write(tmp_path / "in.wav", noise(rng, 1, 20_000))

    code = main(["stream", url, str(tmp_path / "in.wav"), "-m", "breaks"])

    assert code == 4
    assert "the net failed" in capsys.readouterr().err
    assert tell_files(tmp_path) == ["in.wav"]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ([], 5, "Give the file that has it: --token-file"),
        (["--token-file", "wrong"], 5, "a token that this server knows"),
        (["--token-file", "none"], 2, "cannot read the token in none"),
        (["--token-file", "empty"], 2, "empty has no token"),
        (["--token-file", "right", "-m", "nosuch"], 5, "smoother"),
        (["--token-file", "right", "--mix", "101"], 2, "mix"),
        (["--token-file", "right", "--tls-ca", "wrong"], 2, "without TLS"),
    ],
)
def test_what_the_server_refuses(url, more, code, said, tmp_path, rng, capsys, monkeypatch):
    """One line, an exit code of its own, and nothing written."""
    monkeypatch.chdir(tmp_path)
    texts = {"wrong": "guess\n", "empty": "# nothing\n", "right": "# ours\nsecret\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    write(tmp_path / "in.wav", noise(rng, 1, 2000))

    assert main(["stream", url, "in.wav", *more]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert "guess" not in err
    assert tell_files(tmp_path) == sorted(["in.wav", *texts])


def test_a_break_is_told(tmp_path, rng, capsys):
    """And mended; the file is whole."""
    audio = noise(rng, 1, 60_000)
    write(tmp_path / "in.wav", audio)
    with faked([Turn(cut=20_000, code=1012)]) as fake:
        assert main(["stream", fake.url, str(tmp_path / "in.wav"), "-q"]) == 0
    err = capsys.readouterr().err

    assert np.array_equal(read(tmp_path / "in.denoised.wav"), audio / 2)
    assert "connected again" in err
    assert "0 samples were lost" in err
