"""Models become files of ONNX that give the same samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtdenoise.cli import main as host
from rtdenoise.errors import ModelError, UsageError
from rtdenoise.nets import box
from rtdenoise.proof.verify import verify
from tests.toy_nets import Smoother, card_for, save
from train.cli import main
from train.networks import make as make_net
from train.networks.running import running_means
from train.run import export, onnx_file
from train.run.onnx_file import convert
from train.run.onnx_form import Fourier

SMALL = {
    "audiounet": {"depth": 2, "width": 0.1, "window": 512},
    "banded": {"width": 8, "blocks": 2, "positions": 8, "whole": 16, "narrow": 2},
    "germain": {"width": 4, "dilations": 3, "window": 512},
    "mugan": {"depth": 2, "width": 0.1, "window": 512},
    "segan": {"width": 0.1, "levels": 4, "window": 512},
    "spectral": {"hidden": 16, "layers": 1, "deeper": 1},
}


def file_of(name: str, path: Path) -> Path:
    """A TorchScript file of a small network with new weights."""
    settings = {"network": name, **SMALL[name]}
    torch.manual_seed(3)
    net = make_net(**settings)
    card = replace(
        card_for(net),  # type: ignore[arg-type]
        sample_rate=net.rate_hz,
        window=net.window,
        hop=net.hop,
        lookahead=net.lookahead,
        analysis_window=net.analysis_window,
        synthesis_window=net.synthesis_window,
        data=[{"name": "none"}],
        versions={"torch": "2"},
        config=settings,
    )
    export.write(net, card, path)
    return path


@pytest.mark.parametrize("size", [1, 2, 7, 8, 10, 15, 480, 1024, 2048])
def test_transforms_by_small_matrices_are_torchs(size, rng):
    """There and back, for powers of two, products, odd sizes and primes."""
    x = torch.from_numpy(rng.standard_normal((2, 3, size)).astype(np.float32))
    fourier, wanted = Fourier(size), torch.fft.rfft(x)

    torch.testing.assert_close(fourier(x), wanted, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(fourier.back(wanted), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("silent", [0, 1, 40, 120])
def test_a_running_mean_at_once_is_the_one_hop_by_hop(silent, rng):
    """With silence before, between and after, and with a state from before."""
    energy = torch.from_numpy(rng.uniform(-8, 4, (2, 120, 5)).astype(np.float32))
    counts = torch.ones(2, 120, 1)
    counts[:, :silent] = 0
    counts[1, 60:70] = 0
    by_hop = torch.jit.script(running_means)
    hops, mean = torch.zeros(2, 1), torch.zeros(2, 5)
    for _ in range(3):  # the second and the third go on where the last one ended
        wanted = by_hop(energy, counts, hops, mean, 0.01)
        for one, other in zip(running_means(energy, counts, hops, mean, 0.01), wanted, strict=True):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
        _, hops, mean = wanted
        hops = hops * 4000  # up to the limit of the count


def test_a_model_becomes_an_onnx_file_by_one_command(tmp_path, capsys):
    """Its card is that of the model; the host shows and verifies it; nothing else is left."""
    file_of("audiounet", tmp_path / "net.pt")
    words = ["export", str(tmp_path / "net.pt"), "--onnx", str(tmp_path / "net.onnx")]
    assert main(words) == 0
    before, after = box.card(tmp_path / "net.pt"), box.card(tmp_path / "net.onnx")

    assert after.config["torchscript_sha256"] == before.sha256
    assert replace(after, sha256="", config={}, versions={}) == replace(
        before, sha256="", config={}, versions={}
    )
    assert [c.rule for c in verify(box.find(tmp_path / "net.onnx")) if not c.passed] == []
    assert host(["info", str(tmp_path / "net.onnx")]) == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.onnx", "net.pt"]
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_network_gives_the_same_samples_in_onnx(name, tmp_path):
    """On real speech and on noise with a pause, in large blocks and hop by hop."""
    convert(file_of(name, tmp_path / "net.pt"), tmp_path / "net.onnx", seconds=5.0)

    assert [c.rule for c in verify(box.find(tmp_path / "net.onnx")) if not c.passed] == []


def test_what_cannot_be_converted_says_why(tmp_path, capsys):
    """No network of ours, no output, another suffix."""
    save(Smoother(), tmp_path / "own.pt")
    with pytest.raises(ModelError, match="names no network of this version"):
        convert(tmp_path / "own.pt", tmp_path / "own.onnx")
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        convert(tmp_path / "own.pt", tmp_path / "own.bin")
    assert main(["export", str(tmp_path)]) == 2
    assert "wanted an output" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["own.pt"]


def test_other_samples_are_refused(tmp_path):
    """The rule that found an optimiser which dropped small constants."""
    one, other = (box.find(save(Smoother(), tmp_path / f"{i}.pt")) for i in range(2))
    onnx_file._compare(one, other, 1.0)
    other._module.speed.data += 0.01  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="ONNX != TorchScript on speech"):
        onnx_file._compare(one, other, 1.0)
