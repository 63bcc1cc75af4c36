"""Synthetic noises (moving tones, hum, clicks, worn recordings) and random filters.

Every function makes a batch (rows, samples) at once, on any device, from numbers that numpy draws.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .bank import RATE_HZ, put
from .echoes import White

PERIOD = 1 << 14  # samples of a table that holds one period of a tone
LOWEST_HZ = 20.0  # frequency at which the filters' octave scale starts


def line(points: Tensor, size: int) -> Tensor:
    """Interpolate values (rows, points) linearly to (rows, size)."""
    lines: Tensor = functional.interpolate(points[:, None], size, mode="linear", align_corners=True)
    return lines[:, 0]


def tones(rows: int, samples: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Make sirens, whistles, beeps and bird song: harmonics of a pitch that glides or jumps."""
    base = np.log2(rng.uniform(120, 4000, (rows, 1)))
    reach = rng.choice([0.0, 0.1, 0.5, 1.5], (rows, 1))
    knots = base + reach * rng.uniform(-1, 1, (rows, 9))
    knots = np.where(rng.random((rows, 1)) < 0.25, np.round(knots * 4) / 4, knots)
    hz = 2 ** line(put(knots, device), samples).double()
    time_s = torch.arange(samples, device=device, dtype=torch.float64) / RATE_HZ
    wobble_hz = put(rng.uniform(0.3, 9, (rows, 1)), device).double()
    depth = put(np.where(rng.random((rows, 1)) < 0.4, rng.uniform(0, 0.5, (rows, 1)), 0.0), device)
    hz = (hz * 2 ** (depth * torch.sin(2 * np.pi * wobble_hz * time_s))).clamp(30, 20_000)
    phase = torch.cumsum(hz / RATE_HZ, 1)
    fall = put(rng.uniform(0.1, 0.8, (rows, 1)), device)
    number = torch.arange(1, 7, device=device)[:, None, None]
    level = (hz * number < 22_000) * fall ** (number - 1)
    out = (level * torch.sin(2 * np.pi * ((number * phase) % 1).float())).sum(0)
    beeping = put((rng.random((rows, 1)) < 0.3).astype(float), device)
    rate_hz = put(rng.uniform(0.5, 8, (rows, 1)), device)
    pulse = torch.sigmoid(40 * torch.sin(2 * np.pi * rate_hz * time_s.float()))
    return out * (1 - beeping + beeping * pulse)


def hum(rows: int, samples: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Make the hum of mains, fans and engines: up to forty harmonics of a low, steady pitch."""
    mains = rng.choice([50.0, 60.0], (rows, 1))
    low = np.where(rng.random((rows, 1)) < 0.5, mains, rng.uniform(25, 240, (rows, 1)))
    drift = low * (1 + rng.choice([0.0, 0.005, 0.05], (rows, 1)) * rng.uniform(-1, 1, (rows, 5)))
    gains = 10 ** (-rng.uniform(0, 1.2, (rows, 1)) * np.log2(np.arange(1, 41)) * 0.3)
    gains = gains * 10 ** (rng.uniform(-12, 6, (rows, 40)) / 20)
    gains *= np.arange(1, 41) <= rng.integers(1, 41, (rows, 1))
    return harmonics(line(put(drift, device), samples), gains, rng)


def mains(rows: int, samples: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Make the hum of mains in a recording: 3 to 20 harmonics whose phases stay as they are.

    The pitch is 50 or 60 Hz, or up to 3 % off it where a tape runs at another speed.
    """
    hz = rng.choice([50.0, 60.0], (rows, 1))
    hz = hz * np.where(rng.random((rows, 1)) < 0.7, 1.0, rng.uniform(0.97, 1.03, (rows, 1)))
    gains = np.arange(1, 21) ** -rng.uniform(0.3, 2.0, (rows, 1))
    gains = gains * 10 ** (rng.uniform(-15, 0, (rows, 20)) / 20)
    gains *= np.arange(1, 21) <= rng.integers(3, 21, (rows, 1))
    return harmonics(put(hz, device).expand(-1, samples), gains, rng)


def harmonics(hz: Tensor, gains: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Sum the harmonics of pitches *hz* (rows, samples) with *gains* (rows, count), random phases.

    A period of each row is a table that is read at the row's pitch, with errors below -85 dB up to
    forty harmonics: a sum of sines would take a kernel of the GPU for each of them.
    """
    turn = 2 * np.pi * rng.random(gains.shape)
    parts = (put(gains * f(turn) * (PERIOD / 2), hz.device) for f in (np.cos, np.sin))
    lines = functional.pad(torch.complex(*parts), (1, 0))
    table = torch.fft.irfft(lines, PERIOD)
    place = torch.cumsum(hz.double() / RATE_HZ, 1) % 1 * PERIOD
    left = place.long() % PERIOD
    share = (place - left).float()
    before, after = (table.gather(1, (left + shift) % PERIOD) for shift in (0, 1))
    sound: Tensor = before + share * (after - before)
    return sound


def clicks(rows: int, samples: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Make the clicks of keys, drops and crackle: impulses at random times that ring briefly."""
    most = 60
    seconds = samples / RATE_HZ
    count = rng.poisson(rng.uniform(1, 25, (rows, 1)) * seconds).clip(1, most)
    size = rng.normal(0, 1, (rows, most)) * (np.arange(most) < count)
    at = put(rng.integers(0, samples, (rows, most)), device)
    out = torch.zeros(rows, samples, device=device)
    out.scatter_add_(1, at, put(size, device))
    ring = 2048
    time_s = torch.arange(ring, device=device) / RATE_HZ
    pitch = put(2 ** rng.uniform(np.log2(200), np.log2(9000), (rows, 1)), device)
    dying_s = put(10 ** rng.uniform(-4, -1.8, (rows, 1)), device)
    kernel = torch.cos(2 * np.pi * pitch * time_s) * torch.exp(-time_s / dying_s)
    length = even(samples + ring)
    both = torch.fft.rfft(out, length) * torch.fft.rfft(kernel, length)
    rung: Tensor = torch.fft.irfft(both, length)[:, :samples]
    return rung + 1e-4


def worn(rows: int, samples: int, rng: np.random.Generator, white: White) -> Tensor:
    """Make the noise of discs and tapes: hiss, mains hum, crackle and rumble, often several.

    Hiss is steady and lies between white, or a little brighter, and pink. Crackle is 2 to 2000
    impulses a second, whose sizes are spread as those of dust and scratches are, and which ring in
    the band of a pick-up. Rumble is noise that falls by 12 dB an octave above 20 to 80 Hz. The
    parts that a row has are up to 18 dB below unit level; every row has one at least.
    """
    length, device = even(samples), white.device
    hz = torch.arange(length // 2 + 1, device=device) * (RATE_HZ / length)

    def shaped(sound: Tensor, gain: Tensor) -> Tensor:
        made: Tensor = torch.fft.irfft(torch.fft.rfft(sound, length) * gain, length)
        return made[:, :samples]

    slope = put(rng.uniform(-0.15, 0.6, (rows, 1)), device)
    band = put(2 ** rng.uniform(11, 14, (rows, 1)), device)
    corner = put(rng.uniform(20, 80, (rows, 1)), device)
    # An impulse is where white noise exceeds what it exceeds so many times a second.
    share = put(10 ** rng.uniform(0.3, 3.3, (rows, 1)) / RATE_HZ, device)
    dust, size = white.rows(rows, samples, rng), white.rows(rows, samples, rng)
    struck = dust.abs() > -torch.special.ndtri(share / 2)
    crackle = struck * dust.sign() * torch.exp(size.clamp(max=3))
    parts = (
        shaped(white.rows(rows, samples, rng), (hz + 20) ** -slope),
        mains(rows, samples, rng, device),
        shaped(crackle, 1 / (1 + (hz / band) ** 2)),
        shaped(white.rows(rows, samples, rng), (1 + (hz / corner) ** 4).rsqrt()),
    )
    has = rng.random((rows, len(parts))) < (0.65, 0.5, 0.35, 0.3)
    only = rng.choice(len(parts), rows, p=(0.4, 0.25, 0.2, 0.15))
    has[np.arange(rows), only] = True
    gains = put(has * 10 ** (rng.uniform(-18, 0, has.shape) / 20), device)
    levels = (part.square().mean(1, keepdim=True).sqrt() + 1e-6 for part in parts)
    each = zip(parts, levels, gains.split(1, 1), strict=True)
    return torch.stack([part * (gain / level) for part, level, gain in each]).sum(0)


def even(samples: int) -> int:
    """Return a fast length for an FFT, at least *samples*: 2^a times 1, 3, 5 or 9."""
    sizes = [odd << a for odd in (1, 3, 5, 9) for a in range(4, 24)]
    return min(size for size in sizes if size >= samples)


class Filters:
    """A maker of random magnitude responses.

    Args:
        size: Length of the FFTs whose spectra the responses multiply.
        device: Device of the responses.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.device = device
        self.hz = torch.arange(size // 2 + 1, device=device) * (RATE_HZ / size)
        top = np.log2(RATE_HZ / 2 / LOWEST_HZ)
        self.octave = torch.log2(self.hz.clamp(min=LOWEST_HZ) / LOWEST_HZ)
        self.place = self.octave / top  # 0 at 20 Hz, 1 at the highest frequency

    def smooth(self, db: np.ndarray) -> Tensor:
        """Interpolate *db* (rows, points) over octaves from 20 Hz up: gains (rows, bins)."""
        points = put(db, self.device)
        place = self.place * (points.shape[1] - 1)
        left = place.long().clamp(max=points.shape[1] - 2)
        share = place - left
        between = points[:, left] * (1 - share) + points[:, left + 1] * share
        return torch.exp(between * 0.115129)

    def slope(self, db_an_octave: np.ndarray) -> Tensor:
        """Return gains (rows, bins) that fall by *db_an_octave* (rows,) from 20 Hz on."""
        return torch.exp(-0.115129 * put(db_an_octave, self.device)[:, None] * self.octave)

    def microphone(self, rows: int, rng: np.random.Generator) -> Tensor:
        """Draw responses (rows, bins) of microphones: band limits at both ends, resonances."""
        gain = self.smooth(rng.uniform(-6, 6, (rows, 12)))
        for _ in range(2):
            height = rng.uniform(-9, 12, (rows, 1)) * (rng.random((rows, 1)) < 0.4)
            centre = put(np.log2(rng.uniform(150, 12_000, (rows, 1)) / LOWEST_HZ), self.device)
            width = put(rng.uniform(0.08, 0.6, (rows, 1)), self.device)
            bump = torch.exp(-0.5 * ((self.octave - centre) / width) ** 2)
            gain = gain * torch.exp(0.115129 * put(height, self.device) * bump)
        low = np.where(rng.random(rows) < 0.5, rng.uniform(40, 350, rows), 1.0)
        high = np.where(rng.random(rows) < 0.35, 2 ** rng.uniform(11.5, 14.3, rows), 1e6)
        for corner, sign in ((low, -1), (high, 1)):
            order = put(rng.integers(1, 7, (rows, 1)).astype(float), self.device)
            octaves = torch.log2((self.hz + 1) / put(corner[:, None], self.device)) * sign
            gain = gain * torch.sigmoid(-1.386 * order * octaves).sqrt()  # Butterworth's
        return gain
