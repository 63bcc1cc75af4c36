"""Models become files of ONNX that give the same samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rtdenoise.cli import main as host
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import ModelError, UsageError
from rtdenoise.nets import box
from rtdenoise.nets.line import Line
from rtdenoise.proof.verify import verify, voice
from tests.toy_nets import Smoother, card_for, save
from train.cli import main
from train.networks import make as make_net
from train.networks.running import running_means
from train.run import export, onnx_file
from train.run.onnx_file import convert
from train.run.onnx_form import Fourier

SMALL: dict[str, dict[str, Any]] = {
    "banded": {"width": 8, "blocks": 2, "positions": 8, "whole": 16, "narrow": 2},
    "extension": {"hidden": 16, "layers": 1, "bands": 24, "channels": 2},
    "germain": {"width": 4, "dilations": 3, "window": 512, "causal": True},
    "segan": {"width": 0.1, "levels": 4, "window": 512},
    "spectral": {"hidden": 16, "layers": 1, "deeper": 1},
}


def saved(settings: dict[str, Any], path: Path) -> Path:
    """A TorchScript file of a network with new weights."""
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


def test_a_model_becomes_an_onnx_file_by_one_command(tmp_path, capsys, monkeypatch):
    """With its card and its samples; the host shows it, and nothing else is left."""
    monkeypatch.setattr(onnx_file, "SECONDS", 1.0)
    pt = saved({"network": "germain", **SMALL["germain"]}, tmp_path / "net.pt")
    made = tmp_path / "net.onnx"
    assert main(["export", str(pt), "--onnx", str(made)]) == 0
    before, after = box.card(pt), box.card(made)

    assert after.config == {**before.config, "torchscript_sha256": before.sha256}
    assert replace(after, sha256="", config={}, versions={}) == replace(
        before, sha256="", config={}, versions={}
    )
    stream, audio = Stream(before.sample_rate, 2), voice(before.sample_rate, 1.0, channels=2)
    np.testing.assert_allclose(
        process(Line(box.find(made), stream), audio),
        process(Line(box.find(pt), stream), audio),
        atol=onnx_file.TOLERANCE,
    )
    assert host(["info", str(made)]) == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.onnx", "net.pt"]
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize(  # a family each
    "name",
    [
        *(pytest.param(n, marks=pytest.mark.long) for n in ("banded", "extension", "segan")),
        "spectral",
    ],
)
def test_networks_give_the_same_samples_in_onnx(name, tmp_path, monkeypatch):
    """On real speech and on noise with a pause, in large blocks and hop by hop."""
    monkeypatch.setattr(onnx_file, "SECONDS", 1.0)
    pt = saved({"network": name, **SMALL[name]}, tmp_path / "net.pt")
    convert(pt, tmp_path / "net.onnx")

    one, other = (
        [check.passed for check in verify(box.find(each))] for each in (pt, tmp_path / "net.onnx")
    )
    assert one == other  # new weights may break a rule, such as that of a bound


class Loud(Smoother):
    """A net that decides by what it hears, which no graph can follow."""

    window = 1024

    def forward(self, windows: torch.Tensor, state: torch.Tensor) -> Any:
        if float(windows.abs().amax()) > 0.5:
            windows = windows * 0.5
        return windows, state


def test_a_net_that_no_graph_can_follow_is_one_clear_error(tmp_path):
    """And nothing is written."""
    with pytest.raises(ModelError, match="torch cannot export the net to ONNX: ") as raised:
        onnx_file._write(Loud(), card_for(Loud()), tmp_path / "net.onnx")  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


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
