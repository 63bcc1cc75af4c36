"""The words for a verdict, the same in `rtdenoise bench` and `rtdenoise doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..proof.timing import Timing, Verdict

BARELY = "It keeps up only while no other program is busy."
HELD_UP = (
    "Most of its hops are fast, but something holds up the others: close other programs, and "
    "measure again."
)


def advice(verdict: Verdict, own: Timing, others: Mapping[str, Timing]) -> list[str]:
    """Return what to do after a verdict, as sentences; a clear yes needs none.

    Args:
        verdict: The verdict of the model that was asked for.
        own: Its times.
        others: Times of the other included models, measured here.
    """
    from ..proof.timing import BETTER

    if verdict == "yes":
        return []
    lines = [BARELY] if verdict == "barely" else []
    if own.held_up:
        lines.append(HELD_UP)
    good = {name: timing for name, timing in others.items() if timing.verdict in BETTER[verdict]}
    lines += [
        f"{name}, measured here: {timing.verdict} (p99 is {timing.share_percent:.0f} % of its "
        f"deadline). Choose it: -m {name}"
        for name, timing in good.items()
    ]
    if not good and verdict == "barely":
        lines.append("No other included model has more room here.")
    elif not good and own.verdict == "no":
        lines.append("No included model keeps up here. Files have no deadline: rtdenoise file")
    return lines
