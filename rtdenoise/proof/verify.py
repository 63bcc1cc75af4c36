"""The checks of `rtdenoise verify MODEL`: whether a net keeps the contract on this machine.

Each check tests a rule of the contract (`nets/net.py`) with the same stages that microphone, file
and effect use. A check that cannot be made fails, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..audio import Samples
from ..chain.effect import Denoise
from ..core.counters import Counters
from ..core.stage import drain, process
from ..core.stream import Stream
from ..live.session import Session
from ..nets.line import Line
from ..nets.net import Net

TOLERANCE = 1e-5  # of full scale; float32 sums in another order differ by less
RATES_HZ = (48_000, 44_100, 16_000)


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        rule: The rule that was checked.
        passed: Whether the rule holds.
        found: What was measured, as text.
    """

    rule: str
    passed: bool
    found: str


def voice(rate: int, seconds: float, channels: int = 1, seed: int = 0) -> Samples:
    """Return a signal like a voice: harmonics with moving formants in syllables, and faint noise.

    A denoiser neither removes all of it, which would leave nothing to measure, nor passes it
    unchanged.

    Args:
        rate: Sample rate of the signal in Hz.
        seconds: Length of the signal in seconds.
        channels: Channel count of the signal; only the noise differs between channels.
        seed: Seed of the noise.

    Returns:
        The signal (channels, samples) float32, with a peak of 0.5.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(int(rate * seconds)) / rate
    pitch_hz = 120 + 25 * np.sin(2 * np.pi * 0.7 * t) + 8 * np.sin(2 * np.pi * 5 * t)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate
    formants_hz = (
        500 + 200 * np.sin(2 * np.pi * 1.3 * t),
        1500 + 500 * np.sin(2 * np.pi * 0.9 * t),
    )
    sound = np.zeros_like(t)
    for k in range(1, min(40, int(0.45 * rate / 160))):
        near = sum(1.0 / (1.0 + ((k * pitch_hz - f) / 120) ** 2) for f in formants_hz)
        sound += (near + 0.02) / k**0.5 * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2.6 * t) + 0.4, 0, None)
    rows = [sound * syllables + 0.02 * rng.standard_normal(len(t)) for _ in range(channels)]
    audio = np.stack(rows)
    return np.asarray(0.5 * audio / np.abs(audio).max(), np.float32)


def in_blocks(line: Line, audio: Samples, blocks: list[int]) -> Samples:
    """Return *audio* after *line*, pushed in blocks of these sizes in turn; latency compensated."""
    parts, at, turn = [], 0, 0
    while at < audio.shape[1]:
        size = blocks[turn % len(blocks)]
        parts.append(line.push(audio[:, at : at + size]))
        at, turn = at + size, turn + 1
    late = np.concatenate([*parts, drain(line)], axis=1)
    return late[:, line.latency :]


def verify(net: Net, seed: int = 0) -> Iterator[Check]:
    """Yield the result of each check as soon as it is done.

    Args:
        net: The net, as `box.load` gives it; loading has checked its card, hash and shapes.
        seed: Seed of the signals and of the random block sizes.
    """
    yield from _ends_agree(net, seed)
    yield _channels_apart(net, seed)
    yield _latency(net, seed)
    yield from _hard_inputs(net)
    yield _nan_recovers(net, seed)


def _differ(a: Samples, b: Samples) -> float:
    """Return the largest difference between two signals of equal shape."""
    return float(np.abs(a - b).max(initial=0.0))


def _ends_agree(net: Net, seed: int) -> Iterator[Check]:
    """Check that live sound, random blocks, files and effects give the same samples."""
    rng = np.random.default_rng(seed)
    for rate in RATES_HZ:
        audio = voice(rate, 3.0, channels=2, seed=seed)
        offline = process(Line(net, Stream(rate, 2)), audio)
        block = round(net.card.hop * rate / net.card.sample_rate)
        live = _through_callback(net, rate, _whole(audio, block), block)
        uneven = in_blocks(Line(net, Stream(rate, 2)), audio, rng.integers(1, 3000, 50).tolist())
        # The call of the effect would raise if the net fails; here that is a result.
        rendered = Denoise(net).render([audio], Stream(rate, 2), Counters())
        effect = np.concatenate(list(rendered), axis=1)
        worst = max(
            _differ(live[:, : audio.shape[1]], offline),
            _differ(uneven, offline),
            _differ(effect, offline),
        )
        yield Check(
            f"live = random blocks = file = effect at {rate} Hz, stereo",
            worst <= TOLERANCE,
            f"largest difference {worst:.1e} of full scale (wanted <= {TOLERANCE:.0e})",
        )


def _through_callback(net: Net, rate: int, audio: Samples, block: int) -> Samples:
    """Return what a sound card would get from the callback, latency compensated."""
    line = Line(net, Stream(rate, audio.shape[0], block))
    session = Session(line, line.counters, rate, (audio.shape[0],) * 2, block / rate)
    padded = np.pad(audio, ((0, 0), (0, -(-line.latency // block) * block)))
    played = np.empty(padded.T.shape, np.float32)
    for at in range(0, len(played), block):
        session.callback(padded.T[at : at + block], played[at : at + block], block, None, None)
    return np.ascontiguousarray(played.T[:, line.latency : line.latency + audio.shape[1]])


def _whole(audio: Samples, block: int) -> Samples:
    """Return *audio* with silence up to a whole number of blocks, as a sound card gives it."""
    return np.pad(audio, ((0, 0), (0, -audio.shape[1] % block)))


def _channels_apart(net: Net, seed: int) -> Check:
    """Check that no channel changes another."""
    rate = net.card.sample_rate
    if net.card.channels > 1:
        told = f"its card says that it processes {net.card.channels} channels together"
        return Check("a channel sounds alone as in company", True, told)
    audio = voice(rate, 2.0, channels=2, seed=seed + 1)
    audio[1] *= 0.1
    together = process(Line(net, Stream(rate, 2)), audio)
    alone = [process(Line(net, Stream(rate, 1)), row[None])[0] for row in audio]
    worst = _differ(together, np.stack(alone))
    return Check(
        "a channel sounds alone as in company",
        worst <= TOLERANCE,
        f"largest difference {worst:.1e}",
    )


def _latency(net: Net, seed: int) -> Check:
    """Check the declared latency by the correlation of output and input."""
    rate = net.card.sample_rate
    audio, line = voice(rate, 4.0, seed=seed + 2), Line(net, Stream(rate, 1))
    out = np.concatenate((line.push(audio), drain(line)), axis=1)[0]
    rule = "declared latency = measured"
    level_db = 10 * np.log10((out**2).sum() / (audio**2).sum() + 1e-12)
    if level_db < -40:
        return Check(
            rule, False, f"cannot be measured: the net leaves {level_db:.0f} dB of the test"
        )
    size = 1 << (2 * len(out)).bit_length()
    lags = np.fft.irfft(np.fft.rfft(out, size) * np.conj(np.fft.rfft(audio[0], size)))
    lag = int(np.argmax(lags))
    return Check(rule, lag == line.latency, f"declared {line.latency}, measured {lag} samples")


def _hard_inputs(net: Net) -> Iterator[Check]:
    """Check that signals which break nets come out finite and bounded, without a failed hop."""
    rate = net.card.sample_rate
    n = 2 * rate
    square = np.where(np.arange(n) // 50 % 2, 1.0, -1.0)
    signals = (
        ("silence in, silence out", np.zeros(n), 1e-6),
        ("denormals (1e-40) stay nothing", np.full(n, 1e-40), 1e-6),
        ("DC of 0.5 stays bounded", np.full(n, 0.5), 2.0),
        ("a full-scale square stays bounded", square, 4.0),
        ("speech at -60 dBFS stays bounded", 0.002 * voice(rate, 2.0)[0], 0.004),
    )
    for rule, signal, limit in signals:
        line = Line(net, Stream(rate, 1))
        out = process(line, signal.astype(np.float32)[None])
        peak, failed = float(np.abs(out).max()), line.counters["failed"]
        yield Check(
            rule,
            bool(np.isfinite(peak)) and peak <= limit and failed == 0,
            f"peak {peak:.2g} (wanted <= {limit:g}), {failed} failed hops",
        )


def _nan_recovers(net: Net, seed: int) -> Check:
    """Check that NaN and infinite samples give the same output as silence in their place."""
    rate = net.card.sample_rate
    mended = voice(rate, 2.0, seed=seed + 3)
    mended[:, 5000:5010] = 0
    spoiled = mended.copy()
    spoiled[:, 5000:5010] = [np.nan, np.inf] * 5
    line = Line(net, Stream(rate, 1))
    worst = _differ(process(line, spoiled), process(Line(net, Stream(rate, 1)), mended))
    counted = line.counters["nonfinite"]
    return Check(
        "NaN and infinity count as silence and poison nothing",
        worst <= TOLERANCE and counted == 10,
        f"largest difference {worst:.1e}, {counted} of 10 counted",
    )
