"""Effects can be copied, pickled and used in other processes; each copy has streams of its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from copy import copy, deepcopy
from pathlib import Path

import numpy as np
import pytest
from pedalboard import (
    Convolution,
    Delay,
    Gain,
    LadderFilter,
    Mix as NativeMix,
    Pedalboard,
    Resample,
    Reverb,
)

from rtdenoise import Board, Denoise, DryWet, Mix, UsageError
from rtdenoise.chain import native, registry
from tests.sounds import write
from tests.test_stages import IDENTITY
from tests.toy_nets import Smoother, save

RATE = 48_000
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 12_000)).astype(np.float32)
COPIES = {
    "copy": copy,
    "deepcopy": deepcopy,
    "pickle": lambda effect: pickle.loads(pickle.dumps(effect)),
}
each_copy = pytest.mark.parametrize("again", COPIES.values(), ids=COPIES.keys())


@pytest.fixture
def model(tmp_path):
    return save(Smoother(), tmp_path / "net.pt")


@each_copy
def test_a_copy_sounds_the_same_and_goes_its_own_way(again, model, monkeypatch):
    """Boards in boards, native containers, settings as they are; neither hears the other."""
    inner = Denoise("speech", 80, 24)
    inner.bypass = True
    effects = [
        Gain(-3),
        Denoise(model, residual=True, mix=60),
        Mix([Reverb(0.3), DryWet(Board([Delay(0.01), None]), mix=30), inner]),
        Pedalboard([NativeMix([LadderFilter(LadderFilter.Mode.HPF24), Resample(24_000.0)])]),
    ]
    board = Board(effects)
    board[0].gain_db = -6
    board.process(NOISE, RATE, reset=False)
    monkeypatch.chdir("/")  # paths are absolute in a pickle
    other = again(board)
    expected = board(NOISE, RATE)

    np.testing.assert_allclose(other(NOISE, RATE), expected, atol=1e-6)
    assert repr(other).partition(" at ")[0] == repr(board).partition(" at ")[0]
    other.pop(0)
    other[0].mix = 0
    if again is not copy:
        np.testing.assert_array_equal(board(NOISE, RATE), expected)


@each_copy
def test_a_copy_of_one_effect_holds_no_stream(again, model, tmp_path):
    """The copy begins anew, and a setting of the one is not that of the other."""
    for effect in (Denoise(model), DryWet(Board([Gain(1)]))):
        effect.process(NOISE, RATE, reset=False)
        other = again(effect)
        other.mix = 0
        np.testing.assert_allclose(other(NOISE, RATE), NOISE, atol=1e-6)
        assert effect.mix == 100


def test_a_deep_copy_shares_the_net_and_a_pickle_has_only_its_name(model, monkeypatch):
    """A net holds no state, so threads may share it; a pickle of megabytes would be a surprise."""
    monkeypatch.chdir(model.parent)
    effect = Denoise(model.name)
    assert deepcopy(effect).net is effect.net
    assert deepcopy(Denoise(IDENTITY)).net is IDENTITY
    text = pickle.dumps(effect)

    assert len(text) < 1000
    assert bytes(model) in text
    assert b"speech" in pickle.dumps(Denoise())
    model.unlink()
    with pytest.raises(Exception, match="there is no model file"):
        pickle.loads(text)


@pytest.mark.parametrize("name", sorted(native.plugin_types()))
def test_every_native_plugin_is_copied_with_its_parameters(name, tmp_path):
    """Each parameter has the value that it has, and not its default."""
    write(tmp_path / "hall.wav", NOISE[:1, :100] * 0.1)
    kind = registry.kind(name)
    changed: dict[str, object] = {
        p.name: p.default + 0.25
        for p in kind.parameters
        if isinstance(p.default, float) and (p.high is None or p.default + 0.25 <= p.high)
    }
    if name == "Convolution":
        changed = {"impulse_response_filename": str(tmp_path / "hall.wav"), "mix": 0.5}
    plugin = registry.make(name, changed)
    other = pickle.loads(pickle.dumps(Board([plugin])))[0]
    assert type(other) is type(plugin)
    for parameter in kind.parameters:
        if hasattr(plugin, parameter.name):
            assert getattr(other, parameter.name) == getattr(plugin, parameter.name)


def test_a_plugin_that_does_not_tell_what_it_is_made_of_is_refused():
    """A line says which, and what to do."""
    board = Board([Convolution(NOISE[:1, :100], sample_rate=48_000.0)])
    for again in COPIES.values():
        with pytest.raises(UsageError, match="a Convolution made of an array cannot be copied"):
            again(board)


WORK = """
import multiprocessing
import numpy as np
from pedalboard import Gain, Reverb
from rtdenoise import Board, Denoise

NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (1, 48_000)).astype(np.float32)

def work(board):
    fresh = Board([Gain(-3), Denoise("speech", 90), Reverb(0.2)])  # loads a net in the child
    return board(NOISE, 48_000), fresh(NOISE, 48_000)

if __name__ == "__main__":
    import torch
    torch.randn(1000, 1000) @ torch.randn(1000, 1000)  # the user's own use of torch's workers
    torch.randn(4_000_000).sum()
    board = Board([Gain(-3), Denoise("speech", 90), Reverb(0.2)])
    here = board(NOISE, 48_000)
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            for there in pool.apply(work, (board,)):
                np.testing.assert_allclose(there, here, atol=1e-5)
        print(method, flush=True)
    assert torch.get_num_threads() == 2
"""


def test_other_processes_load_nets_and_run_boards(tmp_path):
    """By each way to start one, after their parent has used nets and torch; a hang is a failure."""
    script = tmp_path / "work.py"
    script.write_text(WORK)
    env = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, str(script)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, env=env)

    assert done.stdout.split() == ["fork", "spawn", "forkserver"], done.stderr
