"""bench and doctor give one verdict, and recommend only what was measured here."""

from __future__ import annotations

from itertools import count

import pytest

from rtdenoise.cli.bench import conclusion
from rtdenoise.cli.verdict import advice
from rtdenoise.nets import box, makers
from rtdenoise.proof.bench import others, paced_timing
from rtdenoise.proof.rehearsal import rehearse
from rtdenoise.proof.timing import Timing
from tests.proof.headset import DEVICES, Card, Takes
from tests.toy_nets import Identity, Smoother, generator_for, save


def taking(p99_ms: float) -> Timing:
    """A row of the table, with a deadline of 10 ms."""
    return Timing("paced", 0.5, p99_ms, 20.0, 10.0)


@pytest.mark.parametrize(
    ("hop_s", "verdict"), [(0.001, "yes"), (0.0053, "yes"), (0.008, "barely"), (0.02, "no")]
)
def test_bench_and_doctor_agree(hop_s, verdict):
    """The same hop times are the same verdict."""
    net, card = generator_for(Identity()), Card()
    bench = paced_timing(net, 48_000, 1, 0.1, count(0.0, hop_s).__next__)
    doctor = rehearse("m", Takes(hop_s), DEVICES, 0.5, card, clock=card.clock)

    assert bench.verdict == doctor.verdict == verdict
    assert bench.p99_ms == pytest.approx(doctor.hops.p99_ms)


def test_barely_is_not_called_no():
    """Four barely rows are a barely, and the last line has every rate once."""
    rates = {48_000: taking(6), 44_100: taking(7), 32_000: taking(8), 16_000: taking(9)}

    assert conclusion("speech", rates) == (
        "speech is real-time here: barely at 48000 Hz, 44100 Hz, 32000 Hz, 16000 Hz"
    )
    rates |= {44_100: taking(1), 16_000: taking(11)}
    assert conclusion("speech", rates) == (
        "speech is real-time here: yes at 44100 Hz; barely at 48000 Hz, 32000 Hz; no at 16000 Hz"
    )


OWN = {"yes": taking(1), "barely": taking(6), "no": Timing("paced", 11, 12, 20, 10.0)}


@pytest.mark.parametrize(
    ("verdict", "rivals", "named"),
    [
        ("yes", {"small": 1}, []),
        ("barely", {"small": 1, "other": 6}, ["small"]),
        ("barely", {"small": 6}, []),
        ("barely", {}, []),
        ("no", {"small": 1, "other": 6, "large": 11}, ["small", "other"]),
        ("no", {"large": 11}, []),
        ("no", {}, []),
    ],
)
def test_a_smaller_model_is_recommended_only_if_there_is_one(verdict, rivals, named):
    """It was measured here, and has a better verdict; where none has, that is said."""
    told = advice(verdict, OWN[verdict], {name: taking(p99_ms) for name, p99_ms in rivals.items()})

    assert [name for name in rivals if f"-m {name}" in " ".join(told)] == named
    if verdict != "yes" and not named:
        assert told[-1].startswith("No ")
    assert bool(told) == (verdict != "yes")


def test_a_model_that_is_held_up_is_not_called_slow():
    """Half a millisecond in the middle, and one hop of a hundred that takes eleven."""
    held, slow = advice("no", taking(11), {}), advice("no", OWN["no"], {})

    assert "close other programs" in held[0]
    assert held[1:] == slow


def test_every_other_model_of_the_box_is_measured(tmp_path, monkeypatch):
    """And the model itself is not its own rival, nor is one for something else."""
    for name, net in (("a", Identity()), ("b", Smoother()), ("c", Identity())):
        save(net, tmp_path / f"{name}.pt")
    save(Identity(), tmp_path / "tape.pt", kind="music")
    monkeypatch.setattr(box, "BOX", tmp_path)
    monkeypatch.setattr(makers, "MAKERS", {})
    measured = dict(others("b", 1, 0.1))

    assert list(measured) == ["a", "c"]
    assert all(timing.p99_ms > 0 for timing in measured.values())
