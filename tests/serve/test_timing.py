"""What rounds of a pool take, as it is measured while a server runs."""

from __future__ import annotations

import pytest

from rtdenoise.serve.timing import Times


def test_the_line_of_the_times_is_found_and_followed(rng):
    """A call has a cost of its own and one for each hop; a machine that gets slower is noticed."""
    times = Times()
    for scale in (1, 3):
        for _ in range(600):
            hops = int(rng.integers(2, 33))
            times.note(hops, scale * (2e-3 + 1e-4 * hops) * rng.uniform(0.9, 1.1))
        fixed_s, hop_s = times.line()

        assert fixed_s == pytest.approx(2e-3 * scale, rel=0.2)
        assert hop_s == pytest.approx(1e-4 * scale, rel=0.3)
        assert times.within(scale * 4e-3) == pytest.approx(20, abs=4)
        assert times.within(scale * 1e-3) == 0


def test_rounds_of_one_size_say_nothing_of_larger_ones():
    """Before other sizes were seen, a hop is taken to cost what it costs in these."""
    times = Times()
    for _ in range(100):
        times.note(1, 2e-3)

    assert times.line() == pytest.approx((0.0, 2e-3))
    assert times.within(5e-3) == 2
