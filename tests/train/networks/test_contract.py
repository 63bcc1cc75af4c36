"""The generator contract around nets of waveforms, and the quick convolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from rtdenoise.errors import UsageError
from rtdenoise.nets.box import load
from rtdenoise.nets.card import Card, weights_sha256
from rtdenoise.proof.verify import verify
from train.networks import make
from train.networks.contract import Conv, quick_conv
from train.networks.protocol import TrainableOnSpectra, TrainableOnWaves
from train.run import export

SMALL: dict[str, dict[str, Any]] = {
    "audiounet": {"width": 0.05, "window": 512},
    "audiounet causal": {"width": 0.05, "window": 512, "causal": True},
    "mugan": {"width": 0.1, "window": 512},
    "mugan causal": {"width": 0.1, "window": 512, "causal": True, "depth": 3},
    "germain": {"width": 6, "dilations": 6, "window": 1024},
    "germain causal": {"width": 6, "dilations": 6, "window": 512, "causal": True},
    "segan": {"width": 0.06, "levels": 6, "window": 2048},
}


def small(name, shaken=0.0):
    """A narrow net; *shaken* weights are not those of the start, which is nearly the identity."""
    torch.manual_seed(0)
    net: Any = make(name.split()[0], **SMALL[name])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(shaken * torch.randn_like(parameter))
        if name == "segan":  # random weights are far beyond full scale, where sound cards clip
            net.core.up[-1].weight.mul_(0.01)
            net.core.up[-1].bias.zero_()
    return net.eval()


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


@pytest.mark.parametrize("name", [name for name in SMALL if "causal" in name])
def test_causal_nets_never_look_ahead(name):
    """An output depends on nothing after its own block of `stride` samples."""
    core = small(name).core
    at = 4096 + core.stride - 1
    first, last = seen(core, 8192, at)

    assert last <= at
    assert at - first + 1 <= core.receptive_field + core.stride


@pytest.mark.parametrize("name", ["audiounet", "mugan causal"])
def test_residual_nets_start_as_nearly_the_identity(name, voices):
    """Training has to earn every change."""
    restored = small(name).wave(voices)

    assert (restored - voices).norm() < 0.05 * voices.norm()


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.long) if n.startswith("mugan") else n for n in SMALL],
)
def test_every_net_becomes_a_model_the_host_verifies(name, tmp_path):
    """Scripted = eager, streamed = whole, latency, silence, denormals: all checks of `verify`."""
    net = small(name, shaken=0.02)
    weights = {key: value.numpy() for key, value in net.state_dict().items()}
    card = Card(
        name=name.replace(" ", "-"),
        task="denoise",
        kind="speech",
        sample_rate=net.rate_hz,
        window=net.window,
        hop=net.hop,
        analysis_window=net.analysis_window,
        synthesis_window=net.synthesis_window,
        parameters=sum(p.numel() for p in net.parameters()),
        licence="MIT",
        sha256=weights_sha256(weights),
        data=[{"name": "none", "hours": 0.0, "licence": "none"}],
        versions={"torch": "test"},
        config={"network": name},
    )
    export.write(net, card, tmp_path / "net.pt")
    checks = verify(load(tmp_path / "net.pt"))

    # A net of random weights need not keep quiet sounds quiet, and one that is nowhere near the
    # identity, as SEGAN starts, has no lag that could be measured; trained ones have.
    spared = ("bounded", "latency") if name == "segan" else ("bounded",)
    broken = [c for c in checks if not c.passed and not any(word in c.rule for word in spared)]
    assert [f"{c.rule}: {c.found}" for c in broken] == []


def test_an_unknown_network_or_setting_is_one_clear_error():
    """The known ones are listed."""
    with pytest.raises(UsageError, match=r"'wavenet'; known: audiounet, banded, extension"):
        make("wavenet")
    with pytest.raises(UsageError, match=r"net.deep; audiounet knows: depth"):
        make("audiounet", deep=4)
    with pytest.raises(UsageError, match="audiounet refuses"):
        make("audiounet", window=1023)


@pytest.mark.parametrize(
    ("taps", "stride", "dilation"), [(9, 1, 1), (8, 2, 1), (65, 1, 3), (5, 3, 2)]
)
def test_the_quick_convolution_is_the_convolution(taps, stride, dilation):
    """Output and gradients to rounding, whatever part of the last step the stride leaves over."""
    torch.manual_seed(0)
    for samples in range(400, 403):
        x = torch.randn(3, 4, samples, requires_grad=True)
        weight, bias = (
            torch.randn(6, 4, taps, requires_grad=True),
            torch.randn(6, requires_grad=True),
        )
        wanted = functional.conv1d(x, weight, bias, stride, 0, dilation)
        found = quick_conv(x, weight, bias, stride, dilation)
        shape = torch.randn_like(wanted)
        torch.testing.assert_close(found, wanted)
        for a, b in zip(
            torch.autograd.grad(found, (x, weight, bias), shape),
            torch.autograd.grad(wanted, (x, weight, bias), shape),
            strict=True,
        ):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


def test_every_net_has_what_training_asks_for():
    """The papers hear waveforms, `banded` hears spectra, `spectral` both: `networks.protocol`."""
    for name in SMALL:
        assert isinstance(small(name), TrainableOnWaves)
        assert not isinstance(small(name), TrainableOnSpectra)
    for kind in (TrainableOnWaves, TrainableOnSpectra):
        assert isinstance(make("spectral"), kind)
    assert isinstance(make("banded"), TrainableOnSpectra)
    assert not isinstance(make("banded"), TrainableOnWaves)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_learns_in_bfloat16_what_it_learns_in_float32(batch, stride):
    """A processor's matrix unit gave kernels a gradient that was all error, for small batches."""
    torch.manual_seed(0)
    x, conv = torch.randn(batch, 6, 512), Conv(6, 12, 9, stride)
    outcomes = []
    for bfloat16 in (False, True):
        conv.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            y = conv(x)
        y.float().backward(torch.sin(torch.arange(y.numel())).view(y.shape))
        assert conv.weight.grad is not None
        outcomes += [y.detach().float(), conv.weight.grad.clone()]

    for exact, rounded in ((outcomes[0], outcomes[2]), (outcomes[1], outcomes[3])):
        assert float((rounded - exact).norm() / exact.norm()) < 0.01
