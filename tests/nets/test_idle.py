"""Digital silence: the net is not called, and no sample is lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rtdenoise.core.stream import Stream
from rtdenoise.nets.box import find
from rtdenoise.nets.engine import Engine
from rtdenoise.nets.idle import Idle
from rtdenoise.nets.net import Net
from tests.toy_nets import Breaks, Hums, Identity, Smoother, generator_for

HOP = 512
MANY = 64 * HOP  # hops are quicker in large blocks


class Creeps(Identity):
    """Counts its windows for ever; each has the gain of its number."""

    @torch.jit.export
    def initial_state(self, channels: int) -> torch.Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        number = state + torch.arange(1, windows.shape[1] + 1)
        return windows * torch.sin(number).unsqueeze(2), number[:, -1:]


class Forgets(Identity):
    """A memory that fades by a share of itself, and a gain that follows it."""

    @torch.jit.export
    def initial_state(self, channels: int) -> torch.Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        out = torch.empty_like(windows)
        for t in range(windows.shape[1]):
            state = 0.98 * state + windows[:, t].abs().amax(1, keepdim=True)
            out[:, t] = windows[:, t] / (1 + state)
        return out, state


class Watched:
    """A net whose calls are counted."""

    def __init__(self, net: Net) -> None:
        self.net, self.calls, self.windows = net, 0, 0
        self.card, self.analysis, self.synthesis = net.card, net.analysis, net.synthesis
        self.initial_state = net.initial_state
        self.prepare_thread, self.one_thread = net.prepare_thread, net.one_thread

    holds_state = False

    def begin(self, stream):
        return self

    def __call__(self, windows: np.ndarray, state: np.ndarray):
        self.calls, self.windows = self.calls + 1, self.windows + windows.shape[1]
        return self.net(windows, state)


def sound(*parts: tuple[str, int], channels: int = 1) -> np.ndarray:
    """Noise and silence by turns: ("noise" or "silence", hops)."""
    rng = np.random.default_rng(5)
    return np.concatenate(
        [
            rng.uniform(-0.1, 0.1, (channels, hops * HOP)).astype(np.float32)
            if kind == "noise"
            else np.zeros((channels, hops * HOP), np.float32)
            for kind, hops in parts
        ],
        axis=1,
    )


def heard(net: Net, audio: np.ndarray, block: int = HOP, awake: bool = False) -> np.ndarray:
    """The output of an engine that gets *audio* in blocks; *awake*: of one that never sleeps."""
    engine = Engine(net, Stream(48_000, len(audio)))
    if awake:  # one window after the other
        engine._idle.part = lambda silent: (1, False)  # type: ignore[method-assign]
    cuts = range(block, audio.shape[1], block)
    out = np.concatenate([engine.push(b) for b in np.split(audio, cuts, axis=1)], axis=1)
    assert engine.counters["hops"] == audio.shape[1] // HOP
    return out


def asleep_after(net: Net, silence: int = 2500) -> int:
    """The windows of silence that *net* hears after noise before it sleeps."""
    watched = Watched(net)
    heard(watched, sound(("noise", 30), ("silence", silence)), MANY)
    return watched.windows - 30


AUDIO = sound(
    ("noise", 30), ("silence", 1200), ("noise", 7), ("silence", 3), ("noise", 1), ("silence", 900),
    ("noise", 20), channels=2,
)  # fmt: skip
TOYS = {
    "no memory": generator_for(Identity()),
    "settles": generator_for(Smoother()),
    "forgets": generator_for(Forgets()),
    "never settles": generator_for(Creeps()),
    "fails": generator_for(Breaks(7)),
    "raises": generator_for(Breaks(11, raises=True)),
    "hums": generator_for(Hums()),
}


@pytest.mark.parametrize("block", [480, 1700, 200_000])
@pytest.mark.parametrize("name", TOYS)
def test_a_stream_and_a_file_sleep_at_the_same_window(name, block):
    """The rule looks at samples and states, so that the cut of the stream does not matter."""
    np.testing.assert_allclose(heard(TOYS[name], AUDIO, block), heard(TOYS[name], AUDIO), atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(TOYS) - {"forgets"}))
def test_a_net_that_slept_gives_the_samples_of_one_that_did_not(name):
    """Nothing is lost, nothing is late, and what its memory had settled to is still there."""
    np.testing.assert_allclose(
        heard(TOYS[name], AUDIO), heard(TOYS[name], AUDIO, awake=True), atol=1e-5
    )


@pytest.mark.parametrize("name", ["never settles", "fails", "raises", "hums"])
def test_a_net_that_does_not_come_to_rest_never_sleeps(name):
    """Its answer to the next window of silence is not known."""
    assert asleep_after(TOYS[name]) >= 2500  # a failed batch runs twice


@pytest.mark.parametrize("name", ["forgets", "speech", "speech-small"])
def test_a_long_silence_is_as_one_that_ends_when_the_net_falls_asleep(name):
    """What can be promised of a memory that creeps: sleep only shortens the silence."""
    net = TOYS.get(name) or find(name)
    slept = asleep_after(net)
    long, short = (
        heard(net, sound(("noise", 30), ("silence", hops), ("noise", 40)), MANY, awake)
        for hops, awake in ((slept + 500, False), (slept, True))
    )

    assert 94 <= slept < 2500
    np.testing.assert_allclose(long[:, -40 * HOP :], short[:, -40 * HOP :], atol=1e-5)


def test_waking_needs_one_sample():
    """The smallest normal number, at the end of a window, is not silence."""
    audio = sound(("silence", 1000))
    audio[0, 900 * HOP - 1] = tiny = np.finfo(np.float32).tiny * 1e6
    net = Watched(TOYS["no memory"])
    out = heard(net, audio)

    assert out[0, 900 * HOP + 1023] == pytest.approx(tiny, rel=1e-3)
    assert net.windows < 500


def test_what_a_net_says_later_is_not_slept_through():
    """Its lookahead is part of its tail."""
    card = generator_for(Identity(), lookahead=96_000).card

    assert Idle(card).part(np.ones(1000, bool)) == (281, False)  # 3 s
