"""No effect gives NaN or silence for sound unseen: it is refused, or told, by arrays, files, live.

What pedalboard's plugins do with NaN and with frequencies above half the sample rate was measured:
most keep NaN for ever, filters give silence, and a parameter of NaN ends the process in some.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from pedalboard import (
    Chain as NativeChain,
    Convolution,
    Gain,
    HighpassFilter,
    LowpassFilter,
    Pedalboard,
    PitchShift,
)

from rtdenoise import AudioError, Board, DryWet, Effect, Mix, UsageError
from rtdenoise.chain import native, registry
from rtdenoise.chain.parameter import Parameter
from rtdenoise.cli import main
from rtdenoise.core.stream import Stream
from tests.sounds import read, write

RATE = 16_000
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 8_000)).astype(np.float32)
NAMES = sorted(native.plugin_types())
FREQUENCIES = [
    (name, parameter)
    for name in NAMES
    for parameter in registry.kind(name).parameters
    if parameter.unit == "Hz" and (parameter.high or 1e9) > RATE / 2
]
NUMBERS = [
    (name, parameter)
    for name in NAMES
    for parameter in registry.kind(name).parameters
    if isinstance(parameter.default, float)
]


def plugin(name, **settings):
    if name == "Convolution":
        return Convolution(np.ones((1, 10), np.float32) * 0.1, sample_rate=16_000.0, **settings)
    return registry.make(name, settings)


class Spoils(Effect):
    """A user's effect that gives a value of its own for each sample."""

    def __init__(self, value=float("nan")):
        self.value = value

    def stage(self, stream, counters=None):
        effect = self

        class Stage:
            latency = 0

            def __init__(self):
                self.stream = stream

            def push(self, block):
                return np.full(block.shape, effect.value, np.float32)

            def reset(self):
                pass

        return Stage()


@pytest.mark.parametrize(("name", "parameter"), FREQUENCIES, ids=str)
@pytest.mark.parametrize("hertz", [8_000, 12_000, 1e9])
def test_a_frequency_of_half_the_rate_or_more_is_refused(name, parameter, hertz):
    """In each way to process, deep inside too, with the value, the limit and the rate."""
    effect = plugin(name, **{parameter.name: hertz})
    match = f"{name}: {parameter.name} = {hertz:g}: wanted less than 8000 Hz, half the sample rate"
    for board in (Board([effect]), Mix([effect]), Board([Pedalboard([NativeChain([effect])])])):
        with pytest.raises(UsageError, match=match.replace("+", r"\+")):
            board(NOISE, RATE)
        with pytest.raises(UsageError, match=match.replace("+", r"\+")):
            board.process(NOISE, RATE, reset=False)
    setattr(effect, parameter.name, 7_999)
    assert np.abs(Board([effect])(NOISE, RATE)).max() > 1e-3


@pytest.mark.parametrize(("name", "parameter"), NUMBERS, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_parameter_is_nan_or_infinite(name, parameter, value):
    """From a board file, at the start and in the stream; a level of -inf dB mutes, and may."""
    if parameter.unit == "dB" and value == -np.inf:
        return
    with pytest.raises(UsageError, match=f"{parameter.name} = {value:g}: wanted"):
        registry.make(name, {parameter.name: value})
    effect = plugin(name)
    board = Board([effect])
    streams = native.streams([effect])
    if streams:
        board.process(NOISE, 48_000, reset=False)
    try:
        setattr(effect, parameter.name, value)
    except ValueError:
        return  # pedalboard refuses it itself
    if not np.array_equal(getattr(effect, parameter.name), value, equal_nan=True):
        return  # pedalboard takes another value for it
    for reset in (False, True) if streams else (True,):
        with pytest.raises(UsageError, match=f"{parameter.name} = {value:g}: wanted"):
            board.process(NOISE, 48_000, reset=reset)


@pytest.mark.parametrize("name", NAMES)
def test_nan_in_the_sound_is_silence_for_a_plugin(name):
    """It spoils nothing that follows, whole and streamed, and is counted."""
    effect = plugin(name)
    spoiled, mended = NOISE.copy(), NOISE.copy()
    spoiled[0, 100:103], mended[0, 100:103] = (np.nan, np.inf, -np.inf), 0
    board = Board([effect])
    np.testing.assert_array_equal(board(spoiled, 48_000), board(mended, 48_000))
    assert board.counters["nonfinite"] == 3
    if native.streams([effect]):
        ends = []
        for audio in (spoiled, mended):
            board.reset()
            ends.append([board.process(audio, 48_000, reset=False), board.flush()])
        first, second = (np.concatenate(parts, axis=1) for parts in ends)
        np.testing.assert_array_equal(first, second)


def test_a_plugin_that_makes_nan_fails_and_begins_anew():
    """A whole recording is an error that names it; a stream is silent for that block only."""
    board = Board([Gain(0)])
    loud = np.full((1, 4_000), 3e38, np.float32)
    board[0].gain_db = 20
    with pytest.raises(AudioError, match="Gain gave NaN or infinity for finite sound"):
        board(loud, RATE)
    with pytest.raises(AudioError, match="PitchShift, Gain gave NaN"):
        Board([PitchShift(3), Gain(20)])(np.tile(loud, 4), RATE)
    board.reset()
    assert not board.process(loud, RATE, reset=False).any()
    assert board.counters["failed"]
    board[0].gain_db = 0
    np.testing.assert_allclose(board.process(NOISE[:1], RATE, reset=False), NOISE[:1], atol=1e-6)


def test_an_effect_of_the_users_that_makes_nan_is_an_error(tmp_path, capsys):
    """In an array and in a file, of which nothing is written."""
    for board in (Board([Spoils()]), DryWet(Spoils(np.inf), 50), Board([Gain(0), Spoils()])):
        with pytest.raises(AudioError, match="gave NaN or infinity"):
            board(NOISE, RATE)
    out = tmp_path / "out.wav"
    assert run_file(tmp_path, f'type = "{__name__}:Spoils"', out) == 1
    assert "the effects gave NaN or infinity 0.00 s in" in capsys.readouterr().err
    assert not out.exists()


def run_file(tmp_path, effect, out, audio=NOISE, *options):
    (tmp_path / "board.toml").write_text(f"[[effect]]\n{effect}\n")
    write(tmp_path / "in.wav", audio, RATE)
    argv = ["file", str(tmp_path / "in.wav"), "-o", str(out), "-f"]
    return main([*argv, "--board", str(tmp_path / "board.toml"), *options])


@pytest.mark.parametrize("kind", ["LowpassFilter", "HighpassFilter", "PeakFilter"])
def test_a_cut_off_above_half_the_rate_writes_no_file(tmp_path, capsys, kind):
    """The user reads why, in one line, with the fix."""
    out = tmp_path / "out.wav"
    assert run_file(tmp_path, f"type = '{kind}'\ncutoff_frequency_hz = 12000", out) == 2

    told = capsys.readouterr().err.splitlines()
    assert "wanted less than 8000 Hz, half the sample rate of this sound (16000 Hz)" in told[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("effect", "audio", "told"),
    [
        ("type = 'Gain'\ngain_db = -inf", NOISE, "the output is silent, though the input is not"),
        ("type = 'Gain'\ngain_db = -120", NOISE, "the output is silent"),
        (f'type = "{__name__}:Spoils"\nvalue = 0.0', NOISE, "the output is silent"),
        (f'type = "{__name__}:OneSided"', NOISE, "channel 2 of the output is silent"),
        ("type = 'Gain'\ngain_db = -inf", 0 * NOISE, None),
        ("type = 'Gain'\ngain_db = -40", NOISE, None),
        ("type = 'Gain'\ngain_db = -6", NOISE * [[1], [0]], None),
    ],
)
def test_silence_in_place_of_sound_is_told(tmp_path, capsys, effect, audio, told):
    """A file that is silent and its input is not has a warning, for each channel."""
    audio = audio.astype(np.float32)
    assert run_file(tmp_path, effect, tmp_path / "out.wav", audio, "--json") == 0
    captured = capsys.readouterr()
    warnings = json.loads(captured.out)["warnings"]

    assert read(tmp_path / "out.wav").shape == audio.shape
    assert bool(warnings) == (told is not None)
    if told:
        assert told in warnings[0]
        assert f"warning: {told}" in captured.err


class OneSided(Spoils):
    """It keeps only the first channel."""

    def __init__(self):
        super().__init__(0.0)

    def stage(self, stream, counters=None):
        stage = super().stage(stream)
        stage.push = lambda block: block * np.eye(block.shape[0], 1, dtype=np.float32)
        return stage


def test_a_parameter_set_to_nonsense_in_a_stream_is_told_there():
    """The stage refuses the next block, so that live counts it and says why."""
    for kind in (LowpassFilter, HighpassFilter):
        effect = kind(500)
        stage = Board([effect]).stage(Stream(RATE, 2))
        stage.push(NOISE)
        effect.cutoff_frequency_hz = 8_000
        with pytest.raises(UsageError, match="wanted less than 8000 Hz"):
            stage.push(NOISE)
        effect.cutoff_frequency_hz = 500
        assert stage.push(NOISE).any()


def test_a_parameter_says_its_range_for_nan():
    """Wanted, got, and a level of -inf dB is no NaN."""
    with pytest.raises(UsageError, match="X: mix = nan: wanted 0 to 100 %"):
        Parameter("mix", 1.0, 0, 100, "%").check("X", float("nan"))
    with pytest.raises(UsageError, match="X: q = inf: wanted a finite number"):
        Parameter("q").check("X", float("inf"))
    Parameter("gain_db", unit="dB").check("X", float("-inf"))


def test_a_plugin_that_crashes_on_loud_sound_never_gets_it():
    """LAME crashes on 1e10: what goes into it is held 40 dB over full scale, also in a chain."""
    from pedalboard import Chain, Gain, MP3Compressor

    sound = np.full((2, 24_000), 0.1, np.float32)
    sound[:, 6000:12_000] = 1e10
    alone, within = [MP3Compressor()], [Chain([MP3Compressor()])]
    for plugins in (alone, within, [Gain(200.0), MP3Compressor(), Gain(0.0)]):
        out = Board(plugins)(sound, 48_000)
        assert out.shape == sound.shape
        assert np.isfinite(out).all()


def test_channels_that_a_codec_does_not_know_are_refused():
    """MP3 has no six channels: one line names the plugin, for arrays as for streams."""
    from pedalboard import MP3Compressor

    with pytest.raises(AudioError, match="MP3Compressor cannot process 6 channels"):
        Board([MP3Compressor()])(np.zeros((6, 4800), np.float32), 48_000)
