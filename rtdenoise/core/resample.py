"""A stage that runs another stage at another sample rate; the door to `samplerate`.

Microphone, file and effect share one resampler, so that all three give the same samples. It is
`sinc_medium` of libsamplerate: its passband reaches 90 % of the lower Nyquist frequency, its
stopband is 121 dB down, and it lags by 1.1 ms at 44.1 kHz and 2.9 ms at 16 kHz. soxr is faster, but
it delivers in bursts of up to 137 ms, which live sound cannot wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
SPAN = 4096  # samples a step; it bounds the rings, and the time of one call of libsamplerate


class Converter:
    """A streaming resampler that gives the samples as they are ready; output 0 is at input 0.

    Args:
        channels: Channel count of every block.
        from_hz: Sample rate of the input in Hz.
        to_hz: Sample rate of the output in Hz.

    Attributes:
        ratio: Output rate to input rate. It may be changed a little between two pushes: over the
            next block libsamplerate glides to it, so that no sample is lost and no phase jumps.
    """

    def __init__(self, channels: int, from_hz: int, to_hz: int) -> None:
        self.ratio = to_hz / from_hz
        self._resampler = samplerate.Resampler(QUALITY, channels=channels)

    def push(self, block: Samples) -> Samples:
        """Return the samples (channels, n) that are ready after *block* (channels, samples)."""
        frames = self._resampler.process(block.T, self.ratio, end_of_input=False)
        return np.ascontiguousarray(frames.reshape(-1, block.shape[0]).T, np.float32)

    def reset(self) -> None:
        """Forget all samples."""
        self._resampler.reset()


def converted(
    blocks: Iterable[Samples], channels: int, from_hz: int, to_hz: int
) -> Iterator[Samples]:
    """Yield a whole recording at another rate: aligned, and as long to the nearest sample.

    Args:
        blocks: The recording, as blocks (channels, n) float32 without NaN and infinity.
        channels: Channel count of the recording.
        from_hz: Sample rate of the recording in Hz.
        to_hz: Sample rate of the result in Hz.
    """
    converter, read, given = Converter(channels, from_hz, to_hz), 0, 0
    for block in blocks:
        read += block.shape[1]
        out = converter.push(block)
        given += out.shape[1]
        yield out
    wanted = round(read * to_hz / from_hz)
    silence = np.zeros((channels, SPAN), np.float32)
    while given < wanted:
        out = converter.push(silence)[:, : wanted - given]
        given += out.shape[1]
        yield out


@lru_cache(maxsize=64)
def converter_lag(from_hz: int, to_hz: int) -> int:
    """Return the samples at *to_hz* that a converter holds back, once it has settled."""
    pushed = 400 * max(1, -(-from_hz // to_hz))
    given = Converter(1, from_hz, to_hz).push(np.zeros((1, pushed), np.float32))
    return round(pushed * to_hz / from_hz) - int(given.shape[1])


@lru_cache(maxsize=64)
def _shortfall(outer_hz: int, inner_hz: int, skipped: int) -> int:
    """Return the most samples by which the output of both converters can lag behind the input.

    Both converters are driven one sample at a time, which is the worst of all cuts, until the sum
    of both lags has settled. From then on it is periodic, with a ripple of at most one sample per
    converter, which the margin covers.

    Args:
        outer_hz: Sample rate of the stream in Hz.
        inner_hz: Sample rate of the inner stage in Hz.
        skipped: Samples at *inner_hz* that are dropped at the start.
    """
    there, back = Converter(1, outer_hz, inner_hz), Converter(1, inner_hz, outer_hz)
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
    """A stage that runs an inner stage, made for another rate, on a stream.

    The delay is a whole number of outer samples, so that a dry signal can be aligned with it. With
    outer : inner = q : p in lowest terms, p inner samples last exactly as long as q outer ones. Of
    the inner latency L the first L mod p samples (silence) are dropped; what is left, a multiple
    of p, is a multiple of q outside. The lag of the converters varies with the blocks; a ring that
    starts with silence as long as the largest lag makes it constant.

    Args:
        inner: The stage that processes, at its own rate.
        stream: The stream outside.

    Raises:
        AudioError: If the rates differ by more than 1 : 250, which libsamplerate cannot convert.
    """

    def __init__(self, inner: Stage, stream: Stream) -> None:
        outer_hz, inner_hz, channels = stream.rate, inner.stream.rate, stream.channels
        if max(outer_hz, inner_hz) > 250 * min(outer_hz, inner_hz):
            raise AudioError(f"cannot convert {outer_hz} Hz to {inner_hz} Hz: more than 250 times")
        self.inner, self.stream = inner, stream
        self._there = Converter(channels, outer_hz, inner_hz)
        self._back = Converter(channels, inner_hz, outer_hz)
        common = gcd(outer_hz, inner_hz)
        p, q = inner_hz // common, outer_hz // common
        self._skip_at_start = inner.latency % p
        self._prime = _shortfall(outer_hz, inner_hz, self._skip_at_start)
        self._latency = inner.latency // p * q + self._prime
        self._ready = Ring(channels, self._prime + 4 * SPAN + 16)
        self.reset()

    @property
    def latency(self) -> int:
        """See `Stage.latency`; it counts samples at the outer rate."""
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
