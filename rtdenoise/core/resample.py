"""A stage that runs another stage at another sample rate. The only `samplerate`.

One resampler for microphone, file and effect, so that all three give the same samples:
libsamplerate `sinc_medium` (passband to 90 % of the lower Nyquist, 121 dB; lags 1.1 ms at 44.1 kHz,
2.9 ms at 16 kHz). soxr is faster but delivers in bursts of up to 137 ms: unfit for the live end.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import samplerate

from ..audio import Samples
from ..errors import AudioError
from .ring import Ring
from .stage import Stage
from .stream import Stream

QUALITY = "sinc_medium"
SPAN = 4096  # samples a step; bounds the rings, and libsamplerate's work between two of our calls


class _Converter:
    """Samples at one rate in, as many at another as are ready out. Output 0 is input 0."""

    def __init__(self, channels: int, from_hz: int, to_hz: int) -> None:
        self._ratio = to_hz / from_hz
        self._resampler = samplerate.Resampler(QUALITY, channels=channels)

    def push(self, block: Samples) -> Samples:
        frames = self._resampler.process(block.T, self._ratio, end_of_input=False)
        return np.ascontiguousarray(frames.reshape(-1, block.shape[0]).T, np.float32)

    def reset(self) -> None:
        self._resampler.reset()


@lru_cache(maxsize=64)
def _shortfall(outer_hz: int, inner_hz: int, skipped: int) -> int:
    """Samples by which the way there and back can lag behind what went in, at worst.

    Found by driving both converters one sample at a time, the worst of all cuts, until the sum of
    both lags has settled; the rest is periodic with a ripple of at most one sample per converter,
    which the margin covers.
    """
    there, back = _Converter(1, outer_hz, inner_hz), _Converter(1, inner_hz, outer_hz)
    one, given, worst = np.zeros((1, 1), np.float32), 0, 0
    # Each converter lags by about 50 samples of its lower rate.
    outer_per_inner = outer_hz / inner_hz
    settled = skipped * outer_per_inner + 200 * max(1.0, outer_per_inner)
    for count in range(1, int(settled)):
        inner = there.push(one)
        drop = min(skipped, inner.shape[1])
        skipped -= drop
        given += back.push(inner[:, drop:]).shape[1]
        worst = max(worst, count - given)
    return worst + 4


class Resampled:
    """A stage that runs *inner*, made for another rate, on *stream*.

    The delay is a whole number of outer samples, so that a dry signal can be aligned with it. With
    outer : inner = q : p in lowest terms, p inner samples last exactly as long as q outer ones. Of
    the inner latency L the first L mod p samples (silence) are dropped; what is left, a multiple
    of p, is a multiple of q outside. A ring primed with the converters' lag does the rest.

    Raises:
        AudioError: the rates differ by more than 1 : 250, which libsamplerate cannot do.
    """

    def __init__(self, inner: Stage, stream: Stream) -> None:
        outer_hz, inner_hz, channels = stream.rate, inner.stream.rate, stream.channels
        if max(outer_hz, inner_hz) > 250 * min(outer_hz, inner_hz):
            raise AudioError(f"cannot convert {outer_hz} Hz to {inner_hz} Hz: more than 250 times")
        self.inner, self.stream = inner, stream
        self._there = _Converter(channels, outer_hz, inner_hz)
        self._back = _Converter(channels, inner_hz, outer_hz)
        common = gcd(outer_hz, inner_hz)
        p, q = inner_hz // common, outer_hz // common
        self._skip_at_start = inner.latency % p
        self._prime = _shortfall(outer_hz, inner_hz, self._skip_at_start)
        self._latency = inner.latency // p * q + self._prime
        self._ready = Ring(channels, self._prime + 4 * SPAN + 16)
        self.reset()

    @property
    def latency(self) -> int:
        """Outer samples of delay, constant."""
        return self._latency

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        out = np.zeros(block.shape, np.float32)
        for at in range(0, block.shape[1], SPAN):
            inner = self.inner.push(self._there.push(block[:, at : at + SPAN]))
            drop = min(self._skip, inner.shape[1])
            self._skip -= drop
            self._ready.write(self._back.push(np.ascontiguousarray(inner[:, drop:])))
            self._ready.read(out[:, at : at + SPAN])
        return out

    def reset(self) -> None:
        """See `Stage.reset`."""
        self.inner.reset()
        self._there.reset()
        self._back.reset()
        self._ready.reset(silence=self._prime)
        self._skip = self._skip_at_start
