"""The registry knows every effect, with the ranges that the effects themselves keep."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise import Board, DryWet, Effect
from rtdenoise.chain import native, registry
from rtdenoise.chain.boardfile import open_board
from rtdenoise.chain.parameter import REQUIRED, Parameter
from rtdenoise.cli import main
from rtdenoise.errors import UsageError
from tests.sounds import read, write
from tests.test_stages import Frames

NOISE = np.random.default_rng(440).uniform(-0.5, 0.5, (1, 24_000)).astype(np.float32)


class Halves(Effect):
    """Halves its input in frames of 480 samples."""

    parameters = (Parameter("floor_db", -60.0, -120, 0, "dB", "nothing is below it"),)

    def __init__(self, floor_db=-60.0):
        self.floor_db = floor_db

    def stage(self, stream, counters=None):
        return Frames(stream)


def here(name: str) -> str:
    return f"{__name__}:{name}"


@pytest.mark.parametrize("plugin", sorted(native.RANGES))
def test_the_ranges_are_those_that_pedalboard_keeps(plugin):
    """The ends of each range are taken, what is beyond them is refused by pedalboard itself."""
    maker = native.plugin_types()[plugin]
    for name, (low, high) in native.RANGES[plugin].items():
        for inside in (low, high):
            if inside is not None:
                maker(**{name: inside})
        for outside in (None if low is None else low - 0.011, None if high is None else high + 1):
            if outside is not None:
                with pytest.raises(ValueError, match="must be"):
                    maker(**{name: outside})


def test_every_plugin_of_pedalboard_is_listed_with_its_defaults():
    """What needs no argument can be made from what the registry says of it."""
    kinds = registry.kinds()
    assert set(native.plugin_types()) <= set(kinds)
    for kind in kinds.values():
        needs = [p.name for p in kind.parameters if p.default is REQUIRED]
        if kind.origin == "pedalboard" and not needs:
            assert native.is_plugin(registry.make(kind.name, {}))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("Reverb", {"room_size": 1.5}, "Reverb: room_size = 1.5: wanted 0 to 1"),
        ("Denoise", {"mix": 300}, "Denoise: mix = 300: wanted 0 to 100 %"),
        ("Compresor", {}, "Did you mean Compressor"),
        (here("Halves"), {"floor_db": 3}, "floor_db = 3: wanted -120 to 0 dB"),
        (here("Halves"), {"floor": 3}, "has no 'floor'; known: floor_db"),
        (here("NOISE"), {}, "is not a subclass of rtdenoise.Effect"),
        ("nowhere:Gate", {}, "no effect nowhere:Gate: No module named"),
    ],
)
def test_wrong_names_and_values_say_what_is_known(kind, settings, message):
    """Wanted, got, choices."""
    with pytest.raises(UsageError, match=message):
        registry.make(kind, settings)


def test_an_effect_of_the_users_stands_in_a_board_file(tmp_path):
    """By module:Class, alone or mixed with its aligned input."""
    path = tmp_path / "board.toml"
    path.write_text(
        f"""
        [[effect]]
        type = "{here("Halves")}"
        floor_db = -80
        [[effect]]
        type = "DryWet"
        mix = 50
        [[effect.effect]]
        type = "{here("Halves")}"
        """
    )
    board = open_board(path)

    assert board[0].floor_db == -80
    assert isinstance(board[1], DryWet)
    np.testing.assert_allclose(board(NOISE, 48_000), 0.375 * NOISE, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "gain"),
    [
        ([], 0.5),
        (["--mix", "50"], 0.75),
        (["--atten-lim", "20"], 0.55),
        (["--residual", "--mix", "50"], 0.25),
    ],
)
def test_a_stage_that_is_no_net_has_all_that_a_net_has(tmp_path, options, gain):
    """In files and live: mix, attenuation limit and residual, aligned, by a board file alone."""
    board, source = tmp_path / "board.toml", tmp_path / "in.wav"
    board.write_text(f'[[effect]]\ntype = "{here("Halves")}"\n')
    write(source, NOISE)
    common = ["--board", str(board), "-q", *options]
    assert main(["file", str(source), "-o", str(tmp_path / "file.wav"), *common]) == 0
    ends = ["--in", f"file:{source}", "--out", f"file:{tmp_path / 'live.wav'}", "--clock", "fast"]
    assert main(["live", *ends, *common]) == 0

    np.testing.assert_allclose(read(tmp_path / "file.wav"), gain * NOISE, atol=1e-6)
    heard = read(tmp_path / "live.wav")[:, 480 : 480 + NOISE.shape[1]]
    np.testing.assert_allclose(heard, gain * NOISE[:, : heard.shape[1]], atol=2.0**-15)
    assert heard.shape == NOISE.shape


def test_a_board_streamed_and_flushed_is_the_board_on_the_whole():
    """An array, a stream and a file are one path: the same samples to the last one."""
    board = Board([native.plugin_types()["HighpassFilter"](90), Halves(), DryWet(Halves(), 40)])
    whole = board(NOISE, 48_000)
    parts = [board(block, 48_000, reset=False) for block in np.split(NOISE, 10, axis=1)]
    streamed = np.concatenate([*parts, board.flush()], axis=1)

    assert streamed.shape == whole.shape
    np.testing.assert_allclose(streamed, whole, atol=1e-6)


def test_effects_lists_names_and_one_shows_its_parameters(capsys):
    """What a board file may say, with ranges and units."""
    assert main(["effects"]) == 0
    assert "HighpassFilter" in capsys.readouterr().out
    assert main(["effects", "Denoise"]) == 0
    assert "0 to 100 dB" in capsys.readouterr().out
    assert main(["effects", "Gian"]) == 2
    assert "Did you mean Gain" in capsys.readouterr().err
