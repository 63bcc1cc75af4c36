"""verify finds what breaks the contract; bench measures and judges."""

from __future__ import annotations

import pytest
import torch

from rtdenoise.proof.bench import engine_timings, paced_timing
from rtdenoise.proof.timing import Timing
from rtdenoise.proof.verify import verify
from tests.toy_nets import Breaks, Hums, Identity, Late, Smoother, generator_for


def failed(module: torch.nn.Module, **card: object) -> str:
    """The rules *module* breaks, in one string."""
    return " | ".join(c.rule for c in verify(generator_for(module, **card)) if not c.passed)


@pytest.mark.parametrize("module", [Identity(), Smoother()], ids=["identity", "memory"])
def test_nets_that_keep_the_contract_pass(module):
    """All checks, with and without memory."""
    assert failed(module) == ""


def test_a_time_domain_net_passes_with_its_own_windows():
    """A rectangle before, a Hann after."""
    assert failed(Smoother(), analysis_window="rect", synthesis_window="hann") == ""


class SeesTheBatch(Identity):
    """Divides by the loudest of the windows it is given: T windows are not T calls."""

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows / (1.0 + windows.abs().max()), state


class Explodes(Identity):
    """Gain without bound."""

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows * 10.0, state


class Mute(Identity):
    """Leaves nothing to measure."""

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows * 0.0, state


@pytest.mark.parametrize(
    ("module", "rule"),
    [
        (SeesTheBatch(), "live = random blocks = file"),
        (SeesTheBatch(), "a channel sounds alone as in company"),
        (Hums(), "silence in, silence out"),
        (Late(), "declared latency = measured"),
        (Mute(), "declared latency = measured"),
        (Explodes(), "full-scale square"),
        (Breaks(50), "silence in, silence out"),
    ],
)
def test_a_net_that_breaks_a_rule_is_caught(module, rule):
    """Each check can fail, and does for the net that breaks its rule."""
    assert rule in failed(module)


def test_a_lookahead_that_is_declared_is_no_fault():
    """The same late net, with its 512 samples on the card."""
    assert "latency" not in failed(Late(), lookahead=512)


@pytest.mark.parametrize(
    ("p99_ms", "verdict"), [(1.0, "yes"), (5.3, "yes"), (5.4, "barely"), (10.7, "no")]
)
def test_the_verdict_is_about_p99_and_the_deadline(p99_ms, verdict):
    """Half the deadline leaves room for the rest of a machine's life."""
    assert Timing("hop", 0.1, p99_ms, 20.0, deadline_ms=10.667).verdict == verdict


def test_bench_measures_what_it_says():
    """Every timing is positive and ordered; a paced run takes a block of one hop."""
    generator = generator_for(Smoother())
    timings = [*engine_timings(generator, 50), paced_timing(generator, 48_000, 2, 0.3)]

    assert [t.name for t in timings][:2] == ["ring, write + read", "engine without the net"]
    assert all(0 < t.p50_ms <= t.p99_ms <= t.max_ms for t in timings)
    assert timings[-1].deadline_ms == pytest.approx(10.667, abs=1e-3)
