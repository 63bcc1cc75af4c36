"""Synthetic noises (moving tones, hum, clicks, worn recordings) and random filters.

Every function makes a batch (rows, samples) at once, on any device, from numbers that numpy draws.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .bank import RATE_HZ, put

LOWEST_HZ = 20.0  # frequency at which the filters' octave scale starts


def line(points: Tensor, size: int) -> Tensor:
    """Interpolate values (rows, points) linearly to (rows, size)."""
    lines: Tensor = torch.nn.functional.interpolate(
        points[:, None], size, mode="linear", align_corners=True
    )
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
    out = torch.zeros(rows, samples, device=device)
    fall = put(rng.uniform(0.1, 0.8, (rows, 1)), device)
    for harmonic in range(1, 7):
        level = (hz * harmonic < 22_000).float() * fall ** (harmonic - 1)
        out += level * torch.sin(2 * np.pi * ((harmonic * phase) % 1).float())
    beeping = put((rng.random((rows, 1)) < 0.3).astype(float), device)
    rate_hz = put(rng.uniform(0.5, 8, (rows, 1)), device)
    pulse = torch.sigmoid(40 * torch.sin(2 * np.pi * rate_hz * time_s.float()))
    return out * (1 - beeping + beeping * pulse)


def hum(rows: int, samples: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Make the hum of mains, fans and engines: up to forty harmonics of a low, steady pitch."""
    mains = rng.choice([50.0, 60.0], (rows, 1))
    low = np.where(rng.random((rows, 1)) < 0.5, mains, rng.uniform(25, 240, (rows, 1)))
    drift = low * (1 + rng.choice([0.0, 0.005, 0.05], (rows, 1)) * rng.uniform(-1, 1, (rows, 5)))
    phase = torch.cumsum(line(put(drift, device), samples).double() / RATE_HZ, 1)
    count = 40
    gains = 10 ** (-rng.uniform(0, 1.2, (rows, 1)) * np.log2(np.arange(1, count + 1)) * 0.3)
    gains = gains * 10 ** (rng.uniform(-12, 6, (rows, count)) / 20)
    gains *= np.arange(1, count + 1) <= rng.integers(1, count + 1, (rows, 1))
    levels, offsets = put(gains, device), put(rng.random((rows, count)), device)
    out = torch.zeros(rows, samples, device=device)
    for harmonic in range(count):
        place = ((harmonic + 1) * phase) % 1
        column = slice(harmonic, harmonic + 1)
        out += levels[:, column] * torch.sin(2 * np.pi * (place.float() + offsets[:, column]))
    return out


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


def worn(rows: int, samples: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Make the noise of discs and tapes: hiss, hum, crackle and rumble, each in half of the rows.

    Crackle is a shower of impulses whose sizes are spread over 40 dB, as scratches and dust are,
    and which ring in the band of a pick-up. Rumble is noise that falls by 12 dB an octave above 20
    to 80 Hz. All parts that a row has are of unit level, 0 to 12 dB apart.
    """
    length = even(samples)
    hz = torch.arange(length // 2 + 1, device=device) * (RATE_HZ / length)

    def noise(power: Tensor) -> Tensor:
        white = put(rng.standard_normal((rows, samples)), device)
        shaped: Tensor = torch.fft.irfft(torch.fft.rfft(white, length) * power.sqrt(), length)
        return shaped[:, :samples]

    slope = put(rng.uniform(-0.4, 0.8, (rows, 1)), device)
    corner = put(rng.uniform(20, 80, (rows, 1)), device)
    band = put(2 ** rng.uniform(11, 14, (rows, 1)), device)
    showers = (rng.random((rows, samples)) < 10 ** rng.uniform(0.5, 2.7, (rows, 1)) / RATE_HZ) * (
        rng.choice([-1.0, 1.0], (rows, samples)) * 10 ** rng.uniform(-2, 0, (rows, samples))
    )
    crackle = torch.fft.rfft(put(showers, device), length) / (1 + (hz / band) ** 2)
    makers = (
        lambda: noise((hz + 20) ** -slope),
        lambda: hum(rows, samples, rng, device),
        lambda: torch.fft.irfft(crackle, length)[:, :samples],
        lambda: noise(1 / (1 + (hz / corner) ** 4)),
    )
    has = rng.random((rows, len(makers))) < 0.5
    has[np.arange(rows), rng.integers(0, len(makers), rows)] = True
    gains = put(has * 10 ** (rng.uniform(-12, 0, has.shape) / 20), device)
    total = torch.zeros(rows, samples, device=device)
    for column, make in enumerate(makers):
        if has[:, column].any():
            part = make()
            total += gains[:, column : column + 1] * part / (part.std(1, keepdim=True) + 1e-6)
    return total


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
