"""Digital silence: the net is called less often or not at all, and nobody can hear it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rtdenoise.core.stream import Stream
from rtdenoise.nets.box import find
from rtdenoise.nets.engine import Engine
from rtdenoise.nets.net import Net
from tests.toy_nets import Breaks, Hums, Identity, Smoother, generator_for

HOP = 512


class Creeps(Identity):
    """Counts its windows for ever; each has the gain of its number."""

    @torch.jit.export
    def initial_state(self, channels: int) -> torch.Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        number = state + torch.arange(1, windows.shape[1] + 1)
        return windows * torch.sin(number).unsqueeze(2), number[:, -1:]


class InPlace(Creeps):
    """Writes its count into the state that it was given."""

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        out, after = Creeps.forward(self, windows, state)
        return out, state.copy_(after)


class Chimes(Creeps):
    """Sounds by itself at every 300th window, which silence does not announce."""

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        number = state + torch.arange(1, windows.shape[1] + 1)
        chime = (number % 300 == 0).unsqueeze(2) * torch.ones_like(windows)
        return windows + chime, number[:, -1:]


class Watched:
    """A net whose calls are counted."""

    def __init__(self, net: Net) -> None:
        self.net, self.calls, self.windows = net, 0, 0
        self.card, self.analysis, self.synthesis = net.card, net.analysis, net.synthesis
        self.initial_state = net.initial_state
        self.prepare_thread, self.one_thread = net.prepare_thread, net.one_thread

    def __call__(self, windows: np.ndarray, state: np.ndarray):
        self.calls, self.windows = self.calls + 1, self.windows + windows.shape[1]
        return self.net(windows, state)


def still() -> float:
    """A clock by which every hop takes no time, so that none is late on a busy machine."""
    return 0.0


def sound(*parts: tuple[str, int], channels: int = 1) -> np.ndarray:
    """Noise and silence by turns: ("noise" or "silence", hops)."""
    rng = np.random.default_rng(5)
    return np.concatenate(
        [
            rng.uniform(-0.1, 0.1, (channels, hops * HOP)).astype(np.float32)
            * np.float32(kind == "noise")
            for kind, hops in parts
        ],
        axis=1,
    )


def heard(net: Net, audio: np.ndarray, block: int = HOP, deadline: float | None = 1.0):
    """The output of an engine that gets *audio* in blocks, and the engine."""
    engine = Engine(net, Stream(48_000, len(audio), None, deadline), clock=still)
    cuts = range(block, audio.shape[1], block)
    return np.concatenate([engine.push(b) for b in np.split(audio, cuts, axis=1)], axis=1), engine


def awake(net: Net, audio: np.ndarray) -> np.ndarray:
    """The output of a net that hears each window when it comes."""
    engine = Engine(net, Stream(48_000, len(audio)), clock=still)
    engine._idle.postpones = lambda count: False  # type: ignore[method-assign]
    parts = np.split(audio, range(HOP, audio.shape[1], HOP), axis=1)
    return np.concatenate([engine.push(b) for b in parts], axis=1)


AUDIO = sound(
    ("noise", 30), ("silence", 333), ("noise", 7), ("silence", 3), ("noise", 1), ("silence", 200),
    ("noise", 20), channels=2,
)  # fmt: skip
TOYS = {
    "no memory": generator_for(Identity()),
    "settles": generator_for(Smoother()),
    "never settles": generator_for(Creeps()),
    "never settles, in place": generator_for(InPlace()),
    "fails": generator_for(Breaks(7)),
    "raises": generator_for(Breaks(11, raises=True)),
    "hums": generator_for(Hums()),
}


@pytest.mark.parametrize("block", [HOP, 100, 480, 1700])
@pytest.mark.parametrize("name", TOYS)
def test_a_net_that_slept_gives_the_samples_of_one_that_did_not(name, block):
    """Whatever it remembers, however the stream is cut, and when hops fail."""
    out, engine = heard(TOYS[name], AUDIO, block)

    np.testing.assert_allclose(out, awake(TOYS[name], AUDIO), atol=1e-6)
    assert engine.counters["hops"] == AUDIO.shape[1] // HOP
    assert engine.counters["late"] == 0


@pytest.mark.parametrize("name", ["speech", "speech-small"])
def test_a_model_of_the_box_wakes_as_if_it_had_not_slept(name):
    """Their memory creeps for a quarter of an hour, so that it has to hear all of the silence."""
    net, audio = Watched(find(name)), sound(("noise", 100), ("silence", 301), ("noise", 60))
    out, _ = heard(net, audio)

    np.testing.assert_allclose(out, awake(net.net, audio), atol=1e-5)
    assert net.windows == 461
    assert net.calls < 300  # 160 of noise, 95 until it is trusted, and 206 windows in eights


def test_a_net_at_rest_is_not_called():
    """Nothing in, nothing out, no change: it can be proved that nothing will change."""
    for name in ("no memory", "settles"):
        net = Watched(TOYS[name])
        heard(net, sound(("noise", 10), ("silence", 3000)))
        short = net.calls
        heard(net, sound(("noise", 10), ("silence", 6000)))
        assert net.calls == 2 * short


@pytest.mark.parametrize("name", ["never settles", "never settles, in place", "fails"])
def test_a_net_that_never_settles_hears_every_window(name):
    """Also one that writes into the state it is given, where before and after look the same."""
    net = Watched(TOYS[name])
    heard(net, sound(("noise", 5), ("silence", 995)))

    assert net.windows >= 1000 - 7  # the last of them are still owed


def test_a_net_that_hums_is_called_for_every_window_at_once():
    """Its answer to silence is not known before it gave it."""
    net = Watched(TOYS["hums"])
    heard(net, sound(("silence", 500)))

    assert net.calls == net.windows == 500


def test_a_net_that_sounds_by_itself_is_trusted_once():
    """What docs/live.md promises: after the first time it loses nothing."""
    audio = sound(("silence", 2000))
    out, _ = heard(generator_for(Chimes()), audio)
    lost = np.abs(out - awake(generator_for(Chimes()), audio))[0].reshape(-1, HOP).max(1) > 1e-6

    assert lost.sum() <= 9  # the hops of one call, and the two that a window overlaps
    assert not lost[400:].any()


def test_without_a_deadline_nothing_is_owed():
    """A file is no place to save time in: it runs many windows a call."""
    net = Watched(TOYS["never settles"])
    heard(net, sound(("silence", 500)), deadline=None)

    assert net.calls == net.windows == 500


@pytest.mark.parametrize(("window_ms", "most"), [(0.5, 8), (2.0, 2), (5.0, 1)])
def test_what_is_owed_fits_in_the_time_of_a_hop(window_ms, most):
    """A large net must not be late when it wakes: many windows in a call only if they are quick."""
    net = Watched(TOYS["never settles"])
    sizes: list[int] = []

    def clock() -> float:
        if (size := net.windows - sum(sizes)) > 0:
            sizes.append(size)
        return 1e-3 * window_ms * sum(sizes)

    engine = Engine(net, Stream(48_000, 1, HOP, 1.0), clock=clock)
    for block in np.split(sound(("silence", 600)), 600, axis=1):
        engine.push(block)

    assert max(sizes) == most
    assert engine.counters["late"] == 0
