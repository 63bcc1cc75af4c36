"""What an effect remembers of a recording: where a run of it may begin, and how long it matters.

A recurrent net forgets: a run that began some time ago gives the samples of one that began long
ago. How long that takes is measured by tools/cuts_bench.py (docs/scale.md has the curves), and a
card may state its own in ``config["memory_s"]``. It is a guess of the work, which the seams check.

Where a run begins matters as well. The windows of a net begin at every hop, counted from the start
of the recording, and a resampler is at the same point between two samples only after a whole number
of periods of both rates.
"""

from __future__ import annotations

from math import gcd, lcm
from typing import Any

from ..chain import native
from ..chain.autolevel import AutoLevel
from ..chain.board import within
from ..chain.effect import Denoise, Effect
from ..core.loudness import HOP_S
from ..errors import UsageError
from ..nets.card import Card

NET_S = 300.0  # of sound: the nets of the box agreed after 110 to 272 s
LEVEL_S = 90.0  # an `AutoLevel` weighs the last 5 s of a voice, pauses left out
OTHERS_S = 30.0  # the reverberation and the releases of plugins
# Plugins that count from the start of the recording: the phase of a wave, the frames of a codec.
NEVER = ("Chorus", "Phaser", "MP3Compressor", "Resample")


def check(effect: Effect) -> None:
    """Refuse an effect that never forgets, or that only takes whole recordings.

    Raises:
        UsageError: If there is such an effect in it; the message names it.
    """
    for part in within(effect):
        if isinstance(part, Effect) or hasattr(part, "__iter__"):
            continue  # what is in it comes by itself
        name = part.name if native.is_external(part) else type(part).__name__
        if native.is_external(part):
            why = "nobody knows how long a VST3 or an Audio Unit remembers its sound"
        elif name in NEVER:
            why = "it counts from the start of the recording"
        elif not native.streams([part]):
            why = "it takes whole recordings only"
        else:
            continue
        raise UsageError(
            f"a recording cannot be cut into pieces for {name}: {why}. Process it uncut, or take "
            f"{name} out"
        )


def seconds(effect: Effect) -> float:
    """Return the seconds of sound after which *effect* has forgotten all that was before.

    They add up, because an effect gets the right sound only when those before it have forgotten.
    """
    parts = [part for part in within(effect) if not getattr(part, "inner", ())]
    nets = [part.net.card for part in parts if isinstance(part, Denoise)]
    levels = [part for part in parts if isinstance(part, AutoLevel)]
    others = len(parts) > len(nets) + len(levels)
    return sum(map(_net_s, nets)) + LEVEL_S * len(levels) + OTHERS_S * others


def _net_s(card: Card) -> float:
    """Return the seconds of sound that the net of *card* remembers."""
    stated = card.config.get("memory_s")
    return float(stated) if isinstance(stated, int | float) and stated >= 0 else NET_S


def grid(effect: Effect, rate: int) -> int:
    """Return the samples between two places where a run of *effect* may begin.

    Args:
        effect: The effect.
        rate: Sample rate of the recording in Hz.

    >>> grid(Denoise("speech"), 48_000), grid(Denoise("speech"), 44_100)
    (512, 2352)
    """
    return lcm(*(_step(part, rate) for part in within(effect)))


def _step(part: Any, rate: int) -> int:
    """Return the samples between two places where a run of *part*, one effect, may begin."""
    if isinstance(part, AutoLevel):
        return round(HOP_S * rate)
    if not isinstance(part, Effect):
        return native.EVEN
    if part.inner or part.own_rate is None:
        return 1
    # `per_inner` samples at the net's rate last as long as `per_outer` of the recording.
    common = gcd(part.own_rate, rate)
    per_inner, per_outer = part.own_rate // common, rate // common
    hop = part.own_hop or 1
    return per_outer * (hop // gcd(hop, per_inner))
