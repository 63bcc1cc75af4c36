"""A slice of the fuzzing of `make fuzz`, with the same cases in every run."""

from __future__ import annotations

import sys

import pytest

from tests.fuzz.parent import fuzz
from tests.fuzz.worker import TARGETS

# As many cases as take about ten seconds on one core.
CASES = {
    "files": 250, "boards": 60, "cards": 60, "nets": 30, "language": 250, "arguments": 40,
    "manifests": 100, "media": 100,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the worker's limits are POSIX's")
@pytest.mark.parametrize("target", TARGETS)
def test_a_case_ends_with_a_result_or_an_error_of_ours(target):
    """No raw exception, no crash, no hang, whatever the input."""
    found = fuzz(target, seed=1, cases=CASES[target])
    assert not found.failures, "\n".join(f.what for f in found.failures)
    assert found.cases == CASES[target]
    assert len(found.counts) > 1, "all cases ended alike: they test one thing"
