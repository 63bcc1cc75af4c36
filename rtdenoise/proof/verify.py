"""Does a net keep its promises here? `rtdenoise verify MODEL` runs these checks.

Each check is a rule of the contract (`nets/net.py`) driven through the very stages that
microphone, file and effect use. A check that cannot be made says so instead of passing.
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

TOLERANCE = 1e-5  # of full scale: what float32 sums in another order may differ by
RATES_HZ = (48_000, 44_100, 16_000)


@dataclass(frozen=True)
class Check:
    """One rule, whether it holds, and the number that says so."""

    rule: str
    passed: bool
    found: str


def voice(rate: int, seconds: float, channels: int = 1, seed: int = 0) -> Samples:
    """A voice-like signal: harmonics under moving formants in syllables, over faint noise.

    A denoiser must neither be silent on it (then nothing could be measured) nor pass it unchanged.

    Returns:
        (channels, samples) float32, peak 0.5.
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
    """Push *audio* in blocks of the given sizes, again and again; latency compensated."""
    parts, at, turn = [], 0, 0
    while at < audio.shape[1]:
        size = blocks[turn % len(blocks)]
        parts.append(line.push(audio[:, at : at + size]))
        at, turn = at + size, turn + 1
    late = np.concatenate([*parts, drain(line)], axis=1)
    return late[:, line.latency :]


def verify(net: Net, seed: int = 0) -> Iterator[Check]:
    """Run all checks, one by one as they are done.

    Args:
        net: What `box.load` gave; loading has proved its card, hash and shapes.
        seed: Of the signals and of the random cuts.
    """
    yield from _ends_agree(net, seed)
    yield _channels_apart(net, seed)
    yield _latency(net, seed)
    yield from _hard_inputs(net)
    yield _nan_recovers(net, seed)


def _differ(a: Samples, b: Samples) -> float:
    return float(np.abs(a - b).max(initial=0.0))


def _ends_agree(net: Net, seed: int) -> Iterator[Check]:
    """Live (the card's blocks, and random ones), offline (large ones) and effect: same samples."""
    rng = np.random.default_rng(seed)
    for rate in RATES_HZ:
        audio = voice(rate, 3.0, channels=2, seed=seed)
        offline = process(Line(net, Stream(rate, 2)), audio)
        block = round(net.card.hop * rate / net.card.sample_rate)
        live = _through_callback(net, rate, _whole(audio, block), block)
        uneven = in_blocks(Line(net, Stream(rate, 2)), audio, rng.integers(1, 3000, 50).tolist())
        # Not the call itself, which refuses a net that fails: here failing is a finding.
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
    """What a sound card would get, latency compensated; the callback itself is called."""
    line = Line(net, Stream(rate, audio.shape[0], block))
    session = Session(line, line.counters, rate, (audio.shape[0],) * 2, block / rate)
    padded = np.pad(audio, ((0, 0), (0, -(-line.latency // block) * block)))
    heard = np.empty(padded.T.shape, np.float32)
    for at in range(0, len(heard), block):
        session.callback(padded.T[at : at + block], heard[at : at + block], block, None, None)
    return np.ascontiguousarray(heard.T[:, line.latency : line.latency + audio.shape[1]])


def _whole(audio: Samples, block: int) -> Samples:
    """Pad with silence to whole blocks, as a sound card would."""
    return np.pad(audio, ((0, 0), (0, -audio.shape[1] % block)))


def _channels_apart(net: Net, seed: int) -> Check:
    rate = net.card.sample_rate
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
    found = int(np.argmax(lags))
    return Check(rule, found == line.latency, f"declared {line.latency}, measured {found} samples")


def _hard_inputs(net: Net) -> Iterator[Check]:
    """Signals that break nets: each must come out finite, bounded, with no failed hop."""
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
