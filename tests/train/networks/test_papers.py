"""Networks of the papers: sizes, what they see, where they start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from train.networks.audiounet import AudioUNetCore
from train.networks.contract import subpixel, superpixel
from train.networks.germain import GermainCore, LossNetwork
from train.networks.mugan import Autoencoder, MuGanCore
from train.networks.segan import Emphasis, SeganCore


def size(net: nn.Module) -> float:
    """Parameters in millions."""
    return sum(p.numel() for p in net.parameters()) / 1e6


def seen(core: nn.Module, samples: int, at: int) -> tuple[int, int]:
    """First and last input sample that output *at* depends on, by its gradient."""
    core = core.double().eval()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.uniform_(0.1, 1.0)  # no path may cancel another
    x = torch.rand(1, 1, samples, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(core(x)[0, 0, at], x)
    found = gradient[0, 0].nonzero()
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize(("depth", "millions", "field"), [(4, 56.4, 1425), (8, 103.6, 12_945)])
def test_audiounet_is_as_large_and_sees_as_far_as_the_papers(depth, millions, field):
    """Origin's widths: 56.4 M and 1425 samples, 103.6 M and 12945; blocks add half a stride."""
    assert size(AudioUNetCore(depth)) == pytest.approx(millions, abs=0.05)
    core = AudioUNetCore(depth, width=0.02, dropout=0.0)
    first, last = seen(core, 1 << 15, 1 << 14)

    assert core.receptive_field == field
    assert field - core.stride // 2 <= last - first + 1 <= field + core.stride // 2


def test_germain_sees_a_second():
    """16385 samples with the paper's 13 dilations; 14 layers of 64 channels, 0.16 M."""
    core = GermainCore()
    assert core.receptive_field == 16_385
    assert size(core) == pytest.approx(0.16, abs=0.01)
    first, last = seen(GermainCore(width=2), 40_000, 20_000)

    assert last - first + 1 == 16_385


def test_segan_is_the_papers():
    """Eleven levels on 16384 samples down to 8 x 1024, and z of the same size."""
    core = SeganCore()
    assert core.stride == 2048
    assert tuple(core.z.shape) == (1, 1024, 8)
    assert size(core) == pytest.approx(73.1, abs=0.1)


def test_superpixel_and_subpixel_undo_each_other():
    """Interleaved: channels 2 c and 2 c + 1 become the even and odd samples of channel c."""
    x = torch.randn(2, 6, 8)

    assert torch.equal(superpixel(subpixel(x)), x)
    assert torch.equal(subpixel(x)[:, 1, 4:6], x[:, 2:4, 2])


def test_de_emphasis_undoes_pre_emphasis():
    """To rounding."""
    x = torch.randn(1, 1, 3000)
    emphasis = Emphasis()

    torch.testing.assert_close(emphasis.undo(emphasis(x)), x, atol=1e-4, rtol=0)


def test_feature_nets_hear_what_they_were_made_for(voices):
    """The autoencoder gives back the length; the loss network one score a label, halving often."""
    assert Autoencoder(width=0.1)(voices[:, None]).shape == (4, 1, 4096)
    assert Autoencoder(width=0.1).encode(voices[:, None]).shape[2] == 4096 // 16
    net = LossNetwork(5, base=4)
    assert net(voices[:, None]).shape == (4, 5)
    assert [a.shape[2] for a in net.activations(voices[:, None], 6)] == [
        2048, 1024, 512, 256, 128, 64,
    ]  # fmt: skip
    assert MuGanCore(4, 0.1).stride == 16
