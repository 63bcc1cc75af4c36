"""What bandwidth extension owes whoever streams through it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.train.networks.shaken import EXTENSION, shaken
from train.networks.extension import GUARD, Extension
from train.networks.spectral import FRAMING, HOP, WINDOW
from train.spectra import hann, spectra


@pytest.fixture
def net() -> Extension:
    """A net far from where it starts."""
    net: Extension = shaken("extension")
    return net


def limited(cutoff_bin: int, hops: int = 40) -> torch.Tensor:
    """Noise (1, samples) without anything above a bin."""
    torch.manual_seed(1)
    z = torch.fft.rfft(0.1 * torch.randn(1, hops * HOP))
    z[:, cutoff_bin * hops * HOP // WINDOW :] = 0
    sound: torch.Tensor = torch.fft.irfft(z)
    return sound


def ending_at(cutoff_bin: int, hops: int) -> torch.Tensor:
    """The certainty that the band ends there, (1, hops, bins)."""
    return (torch.arange(FRAMING.bins) >= cutoff_bin).float().expand(1, hops, -1).contiguous()


def test_streamed_is_whole(net):
    """The windows of a stream, of a file and of training give the same samples."""
    x = limited(170)
    windows = functional.pad(x, (HOP, HOP)).unfold(1, WINDOW, HOP) * hann(WINDOW, x.device)
    with torch.inference_mode():
        whole, end = net(windows, net.initial_state(1))
        state, parts = net.initial_state(1), []
        for t in range(windows.shape[1]):
            part, state = net(windows[:, t : t + 1], state)
            parts.append(part)
        trained = net.wave(x)

    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(state, end, atol=1e-4, rtol=1e-4)
    out = whole * hann(WINDOW, x.device)
    streamed = (out[:, :-1, HOP:] + out[:, 1:, :HOP]).flatten(1)
    torch.testing.assert_close(streamed, trained, atol=1e-5, rtol=0)


def test_what_is_below_the_end_of_the_band_passes_untouched(net):
    """To the bit, in every window; only what is missing is added."""
    cutoff = 170
    x = spectra(limited(cutoff), FRAMING)
    hops = x.shape[2]
    level, raw = torch.zeros(1, hops, 1), torch.zeros(1, hops, EXTENSION["bands"])
    re, im = net.add(x[:, 0], x[:, 1], raw, level, ending_at(cutoff, hops))

    assert torch.equal(re[:, :, :cutoff], x[:, 0, :, :cutoff])
    assert torch.equal(im[:, :, :cutoff], x[:, 1, :, :cutoff])
    added = re.square() + im.square()
    assert added[:, :, cutoff:].mean() > 0.5


def test_the_end_is_sought_by_the_loudest_bin_above(net):
    """Two poolings reach over the whole band: a tone at its top makes a difference to bin 0."""
    seen = []
    net.find[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logs = torch.linspace(-6, -8, FRAMING.bins).expand(1, 1, -1).clone()
    logs[0, 0, -1] = -2.0
    net.missing(10**logs, torch.full((1, 1, 1), -4.0))
    above = torch.cummax(torch.log10(10**logs + 1e-9).flip(2), 2)[0].flip(2)
    quieter = (torch.log10(10**logs + 1e-9)[..., :-4] - above[..., 4:]) / 3

    torch.testing.assert_close(seen[0][0, 1, :-4], quieter[0, 0].clamp(-3, 3))


def test_a_complete_band_gets_nothing(net):
    """A recording of full bandwidth comes out as it came in."""
    x = spectra(limited(FRAMING.bins), FRAMING)
    level, raw = torch.zeros(1, x.shape[2], 1), torch.zeros(1, x.shape[2], EXTENSION["bands"])
    out = net.add(x[:, 0], x[:, 1], raw, level, torch.zeros(1, x.shape[2], FRAMING.bins))

    assert torch.equal(torch.stack(out, 1), x)


@pytest.mark.parametrize("cutoff", [40, 64, 85, 170, 256, 341, 512])
def test_the_excitation_is_the_band_itself_moved_by_whole_periods_of_a_hop(net, cutoff):
    """A tone in the source is a steady tone in each copy: its phase advances from hop to hop."""
    hops, at = 12, cutoff - GUARD - 4
    time = torch.arange((hops + 1) * HOP)
    tone = torch.cos(2 * np.pi * at * time / WINDOW)[None]
    x = spectra(tone + 1e-3 * limited(cutoff, hops + 1), FRAMING)
    a, b = net.excitation(x[:, 0], x[:, 1], ending_at(cutoff, x.shape[2]))
    shift = 2 * ((cutoff - GUARD) // 4)
    copy = at + shift
    if copy >= FRAMING.bins:
        return
    phase = torch.angle(torch.complex(a[0, :, copy], b[0, :, copy]))
    turns = torch.diff(phase) / np.pi  # a bin turns by pi times its number a hop

    apart = torch.remainder(turns - copy, 2.0)
    assert torch.minimum(apart, 2 - apart).max() < 0.05


def test_the_excitation_has_unit_power(net):
    """So that the energies that the net gives are those that come out."""
    x = spectra(limited(170), FRAMING)
    a, b = net.excitation(x[:, 0], x[:, 1], ending_at(170, x.shape[2]))
    power = (a.square() + b.square())[:, :, 175:]

    assert abs(10 * torch.log10(power.mean())) < 1.0
