"""The live end without a card: the same callback, driven by files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import count

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.chain.effect import Denoise
from rtdenoise.cli import main
from rtdenoise.cli.interrupt import ASKED
from rtdenoise.core.counters import Counters
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import AudioError, DeviceError
from rtdenoise.live.devices import PortAudio
from rtdenoise.live.live import Live
from rtdenoise.live.player import Player
from rtdenoise.live.session import Session
from rtdenoise.nets.box import load
from rtdenoise.nets.line import Line
from tests.toy_nets import Breaks, Identity, Smoother, generator_for, save


@pytest.fixture
def model(tmp_path):
    return save(Smoother(), tmp_path / "net.pt")


def live(*flags: object) -> int:
    return main(["live", "--clock", "fast", "-q", *map(str, flags)])


@pytest.mark.parametrize("block", [512, 480, 441, 1024, 0])
@pytest.mark.parametrize("name", ["noisy.flac", "noisy_stereo_44k.flac", "noisy_8k.wav"])
def test_live_gives_what_a_file_gives_shifted_by_its_latency(tmp_path, clips, model, name, block):
    """Any rate, mono and stereo, any block: sample for sample."""
    out = tmp_path / "out.wav"
    flags = ("--block", block, "-m", model, "--in", f"file:{clips / name}")
    assert live(*flags, "--out", f"file:{out}") == 0
    audio, rate = sf.read(clips / name, dtype="float32", always_2d=True)
    heard = sf.read(out, dtype="float32", always_2d=True)[0]
    offline = process(
        Line(load(model), Stream(rate, audio.shape[1])), np.ascontiguousarray(audio.T)
    ).T
    late = len(heard) - len(audio)

    assert 0 < late < 0.04 * rate
    # The file has 16 bits: half a step of rounding.
    np.testing.assert_allclose(heard[late:], offline, atol=1e-5 + 2**-16)
    assert not heard[: late - 64].any() or rate != 48_000


def session(generator, inputs=1, outputs=1, block=512, deadline=None):
    line = Line(
        generator,
        Stream(48_000, min(inputs, outputs), block=block, deadline=deadline),
    )
    return Session(line, line.counters, 48_000, (inputs, outputs), 512 / 48_000)


def call(driven: Session, frames: np.ndarray, outputs: int = 1) -> np.ndarray:
    """Drive the callback as PortAudio does; (samples, outputs)."""
    parts = []
    for at in range(0, len(frames), 512):
        out = np.full((512, outputs), np.nan, np.float32)
        driven.callback(frames[at : at + 512], out, 512, None, None)
        parts.append(out)
    return np.concatenate(parts)


NOISE = np.random.default_rng(1).uniform(-0.5, 0.5, (512 * 40, 2)).astype(np.float32)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_channel_counts_may_differ(inputs, outputs):
    """One goes to all, two into one are averaged."""
    frames = NOISE[:, :inputs]
    out = call(session(generator_for(Identity()), inputs, outputs), frames, outputs)
    expected = frames if inputs == outputs else frames.mean(1, keepdims=True)

    np.testing.assert_allclose(out[512:], np.broadcast_to(expected, out.shape)[:-512], atol=1e-6)


@pytest.mark.parametrize("raises", [False, True], ids=["NaN", "raises"])
def test_a_failing_net_is_heard_as_the_aligned_input(raises):
    """The stream goes on, the delay stays, and it is counted."""
    driven = session(generator_for(Breaks(4, raises)))
    out = call(driven, NOISE[:, :1])
    ratio = out[512:, 0] / NOISE[:-512, 0]

    assert driven.summary()["failed"] == 10
    assert 0.499 < ratio.min() < 0.501
    assert 0.999 < ratio.max() < 1.001


def test_late_hops_go_dry_and_the_delay_stays():
    """A net that takes 40 ms where 10 are allowed: in step all the same."""

    class Slow(Identity):
        def forward(self, windows, state):
            time.sleep(0.04)
            return 0.5 * windows, state

    driven = session(generator_for(Slow()), deadline=1.0)
    out = call(driven, NOISE[:, :1])
    ratio = out[512:, 0] / NOISE[:-512, 0]

    assert driven.summary()["late"] > 0
    assert driven.summary()["dry"] >= 2 * driven.summary()["late"]
    assert 0.499 < ratio.min() < 0.501
    assert 0.999 < ratio.max() < 1.001


class Ticking(Denoise):
    """An effect whose every hop seems to take a second."""

    def stage(self, stream, counters=None):
        return Line(self.net, stream, self.strength, counters, count(0.0, 1.0).__next__)


def test_between_files_that_do_not_wait_nothing_is_late(tmp_path, clips, smoother):
    """A busy machine must not leave noise in what has no deadline; at real time it has one."""
    dry = []
    for clock, name in (("fast", "a.wav"), ("real", "b.wav")):
        ends = (f"file:{clips / 'noisy.flac'}", f"file:{tmp_path / name}")
        with Live(*ends, Ticking(smoother), clock=clock, duration_s=0.3) as running:
            running.wait()
        dry.append(running.summary()["dry"])
    assert dry[0] == 0 < dry[1]


def test_nothing_is_let_out_of_the_callback():
    """An effect that raises gives silence and a fault to read, not a dead stream."""

    class Broken:
        latency = 0

        def push(self, block):
            raise RuntimeError("on purpose")

        stream = Stream(48_000, 1)

        def reset(self):
            raise RuntimeError("on purpose")

    driven = Session(Broken(), Counters(), 48_000, (1, 1), 0.01)
    out = call(driven, NOISE[:, :1])

    assert not out.any()
    assert driven.summary()["faults"] == 40
    assert driven.summary()["fault"] == "on purpose"


def test_nan_from_a_card_is_silence_and_counted():
    """Some drivers give garbage when they start."""
    driven, frames = session(generator_for(Identity())), NOISE[:, :1].copy()
    frames[100:110] = np.nan
    out = call(driven, frames)

    assert np.isfinite(out).all()
    assert driven.summary()["nonfinite"] == 10


def test_what_a_card_cannot_play_is_held_at_full_scale():
    """Integer hardware wraps round; the count says that it happened."""
    driven = session(generator_for(Identity()))
    out = call(driven, 4 * NOISE[:, :1])

    assert np.abs(out).max() == 1.0
    assert driven.summary()["clipped"] > 0


def test_the_summary_is_json(tmp_path, clips, model, capsys):
    """For machines: everything on stdout, once."""
    source = f"file:{clips / 'noisy.flac'}"
    flags = ["--in", source, "--out", "null", "-m", str(model), "--json", "--duration", "2"]
    assert main(["live", "--clock", "fast", *flags]) == 0
    summary = json.loads(capsys.readouterr().out)

    assert 2 <= summary["seconds"] < 2.1
    assert summary["latency_ms"]["block"] == pytest.approx(10.667, abs=0.01)
    assert summary["hops"] >= 187


def test_record_writes_what_is_heard(tmp_path, clips, model):
    """The same samples as a file at the output end."""
    source = ("--in", f"file:{clips / 'noisy.flac'}", "-m", model)
    live(*source, "--out", "null", "--record", tmp_path / "a.wav")
    live(*source, "--out", f"file:{tmp_path / 'b.wav'}")

    assert np.array_equal(sf.read(tmp_path / "a.wav")[0], sf.read(tmp_path / "b.wav")[0])


@pytest.mark.skipif(os.name != "posix", reason="mode bits are POSIX")
def test_a_file_that_is_played_is_never_written_and_stays_private(tmp_path, clips, model):
    """Not even by force, since it is read while it is written; the output is as private."""
    played = tmp_path / "a.flac"
    played.write_bytes((clips / "noisy_8k.wav").read_bytes())
    played.chmod(0o600)
    source = ("--in", f"file:{played}", "-f", "-m", model)
    assert live(*source, "--out", f"file:{tmp_path}/./a.flac") == 2
    assert live(*source, "--out", "null", "--record", played) == 2
    assert played.read_bytes() == (clips / "noisy_8k.wav").read_bytes()
    assert live(*source, "--out", f"file:{tmp_path}/b.wav") == 0
    assert (tmp_path / "b.wav").stat().st_mode & 0o777 == 0o600


def test_a_board_runs_live(tmp_path, clips, model):
    """The chain in place of the model."""
    pytest.importorskip("pedalboard")
    board = tmp_path / "board.toml"
    board.write_text(
        f"[[effect]]\ntype = 'Gain'\ngain_db = -6.0206\n"
        f"[[effect]]\ntype = 'Denoise'\nmodel = '{save(Identity(), tmp_path / 'id.pt')}'\n"
    )
    out = tmp_path / "out.wav"
    source = f"file:{clips / 'noisy.flac'}"
    assert live("--board", board, "--in", source, "--out", f"file:{out}") == 0
    audio, heard = sf.read(clips / "noisy.flac")[0], sf.read(out)[0]

    np.testing.assert_allclose(heard[512:], audio / 2, atol=1e-4)


class Disk:
    """A file of *blocks* blocks, slow to read, then damaged."""

    channels, rate = 1, 48_000

    def __init__(self, blocks: int) -> None:
        self.blocks, self.reading = blocks, False

    def __iter__(self):
        for _ in range(self.blocks):
            self.reading = True
            time.sleep(0.01)
            self.reading = False
            yield np.ones((1, 512), np.float32)
        raise AudioError("damaged")


def test_nobody_reads_a_file_that_was_let_go():
    """The thread has ended when close returns: libsndfile crashes if it is closed under a read."""
    for _ in range(5):
        disk = Disk(1000)
        player = Player(disk)  # type: ignore[arg-type]
        time.sleep(0.015)
        player.close()
        assert not disk.reading


def test_a_file_that_breaks_is_played_up_to_there_and_named():
    """Neither silence for ever nor a traceback of a thread."""
    player = Player(Disk(2))  # type: ignore[arg-type]
    heard = player.read(2048, wait=True)

    assert heard.sum() == 1024
    assert player.over
    with pytest.raises(AudioError, match="damaged"):
        player.close()


@pytest.mark.parametrize("number", ASKED)
def test_ctrl_c_ends_it_cleanly_with_a_whole_recording(tmp_path, clips, model, number):
    """Exit code 0, the summary, and a file that holds what was heard until then."""
    record = tmp_path / "r.wav"
    command = [sys.executable, "-m", "rtdenoise", "live", "-m", str(model)]
    command += ["--in", f"file:{clips / 'noisy.flac'}", "--out", "null", "--record", str(record)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    banner = [running.stderr.readline() for _ in range(5)]
    assert "latency in ms" in banner[3]
    assert banner[4].endswith("Ctrl-C ends it.\n")
    time.sleep(0.5)
    running.send_signal(number)
    _, said = running.communicate(timeout=30)

    assert running.returncode == 0
    assert "hops" in said
    assert "\x1b" not in said  # no escape codes on a pipe
    assert 0.2 < sf.info(record).duration < 10


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--in", "file:nowhere.wav", "--out", "null"), 1, "nowhere.wav"),
        (("--in", "null", "--out", "null"), 2, "never ends"),
        (("--in", "null", "--out", "null", "--block", "-1"), 2, "--block -1"),
        (("--in", "null", "--out", "null", "--latency", "soon"), 2, "--latency soon"),
        (("--in", "null", "--out", "null", "--duration", "1", "--mix", "300"), 2, "mix = 300"),
        (("--in", "null", "--out", "null", "--duration", "1", "--rate", "7"), 1, "7 Hz"),
        (("--in", "null", "--out", "null", "--duration", "1", "-m", "nosuch"), 4, "In the box"),
    ],
)
def test_wrong_input_is_one_clear_error(capsys, model, flags, code, message):
    """Each with its exit code, before anything starts."""
    model_flag = [] if "-m" in flags else ["-m", str(model)]
    assert main(["live", *model_flag, *flags]) == code
    assert message in capsys.readouterr().err


def test_without_portaudio_the_error_names_the_package():
    """And that files work without."""

    def no_portaudio():
        raise OSError("PortAudio library not found")

    with pytest.raises(DeviceError, match=r"(?s)apt install libportaudio2.*brew install portaudio"):
        PortAudio(no_portaudio).devices()
