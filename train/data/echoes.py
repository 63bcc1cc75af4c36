"""Room impulse responses: simulated ones by the thousand, and measured ones of a cache.

Early reflections come from image sources (Allen and Berkley 1979, JASA 65(4)). The late part is
noise, whose energy and decay follow from the room's size and absorption (Sabine 1922), in six bands
with reverberation times of their own. Every response starts with the direct sound, of amplitude
one, so that a voice in a room keeps its place in time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..sections import Degrade
from .bank import RATE_HZ, put
from .library import Library

ROOM_S = 0.8
SOUND_M_S = 343.0
ORDER = 2  # highest order of the images along each axis
LATE_S = (0.015, 0.050)  # stretch in which noise replaces the images
EDGES_HZ = (250.0, 1000.0, 4000.0, 8000.0, 14000.0)
BEFORE = 16  # samples kept before the peak of a measured response
SIZE = int(ROOM_S * RATE_HZ)  # samples of a response at the rate of scenes


class White:
    """A source of white noise: each row is the sum of two stretches of one buffer.

    The buffer is drawn by numpy, so the noise is the same on every device.
    """

    def __init__(self, device: torch.device) -> None:
        drawn = np.random.default_rng(20_211).standard_normal(1 << 22, dtype=np.float32)
        self.buffer, self.device = torch.from_numpy(drawn).to(device), device

    def rows(self, count: int, samples: int, rng: np.random.Generator) -> Tensor:
        """Return noise (count, samples) of variance one."""
        column, size = torch.arange(samples, device=self.device), len(self.buffer)
        first, second = (
            self.buffer[(put(rng.integers(0, size, (count, 1)), self.device) + column) % size]
            for _ in range(2)
        )
        return (first + second) * 0.7071


def early(rooms: Tensor, settings: Degrade, rate_hz: int = RATE_HZ) -> Tensor:
    """Return the part of rooms (count, samples) that the target keeps.

    It is all up to `keep_s` after the direct sound, and a fade with the time constant `fade_s`.
    The fade teaches a net to shorten the reverberation instead of gating it.
    """
    time_s = torch.arange(rooms.shape[1], device=rooms.device) / rate_hz
    return rooms * torch.exp(-(time_s - settings.keep_s).clamp(min=0) / settings.fade_s)


def simulate(
    count: int,
    t60_s: tuple[float, float],
    rng: np.random.Generator,
    white: White,
    rate_hz: int = RATE_HZ,
) -> Tensor:
    """Simulate shoebox rooms.

    Args:
        count: Number of rooms.
        t60_s: Range of the reverberation times.
        rng: Source of the random numbers.
        white: Source of the noise of the late parts.
        rate_hz: Sample rate of the responses.

    Returns:
        Responses (count, ROOM_S * rate_hz) whose direct sound is one at sample 0.
    """
    device = white.device
    size_m = rng.uniform((2.0, 2.0, 2.2), (9.0, 7.0, 4.0), (count, 3))
    size_m *= np.where(rng.random((count, 1)) < 0.15, rng.uniform(1.5, 3, (count, 1)), 1.0)
    mouth = rng.uniform(0.3, size_m - 0.3)
    near = mouth + rng.normal(0, 0.35, (count, 3))
    far = rng.uniform(0.3, size_m - 0.3)
    ear = np.where(rng.random((count, 1)) < 0.5, near, far).clip(0.2, size_m - 0.2)
    direct_m = np.linalg.norm(mouth - ear, axis=1).clip(0.15)
    seconds = rng.uniform(*t60_s, count)
    volume = size_m.prod(1)
    walls = 2 * (volume[:, None] / size_m).sum(1)
    absorbed = (0.161 * volume / (walls * seconds)).clip(0.02, 0.95)

    images = _images(size_m, mouth, ear, direct_m, np.sqrt(1 - absorbed), device, rate_hz)
    energy = 16 * np.pi * direct_m**2 * (1 - absorbed) / (walls * absorbed)
    late = _late(count, seconds, rng, white, rate_hz) * put(
        np.sqrt(energy * 13.8 / seconds / rate_hz)[:, None], device
    )
    time_s = torch.arange(late.shape[1], device=device) / rate_hz
    share = ((time_s - LATE_S[0]) / (LATE_S[1] - LATE_S[0])).clamp(0, 1)
    ending = ((ROOM_S - time_s) / 0.1).clamp(0, 1)
    return (images * (1 - share) + late * share) * ending


def _images(
    size_m: np.ndarray,
    mouth: np.ndarray,
    ear: np.ndarray,
    direct_m: np.ndarray,
    kept: np.ndarray,
    device: torch.device,
    rate_hz: int,
) -> Tensor:
    """Return the image sources as impulses (count, samples), each split between two samples.

    Args:
        size_m: Edges of the rooms in metres, (count, 3).
        mouth: Places of the talkers in metres, (count, 3).
        ear: Places of the microphones in metres, (count, 3).
        direct_m: Lengths of the direct paths, (count,).
        kept: Factors of the amplitude at a reflection, (count,).
        device: Device of the responses.
        rate_hz: Sample rate of the responses.
    """
    size = int(ROOM_S * rate_hz)
    order = np.arange(-ORDER, ORDER + 1)
    number, mirrored = (g.ravel() for g in np.meshgrid(order, [0, 1], indexing="ij"))
    walls = np.abs(number - mirrored) + np.abs(number)
    offset = (1 - 2 * mirrored) * mouth[:, :, None] + 2 * number * size_m[:, :, None]
    square = (offset - ear[:, :, None]) ** 2  # (count, 3, images of an axis)
    x, y, z = (put(square[:, axis], device).double() for axis in range(3))
    count = len(size_m)
    metres = (x[:, :, None, None] + y[:, None, :, None] + z[:, None, None, :]).sqrt()
    metres = metres.view(count, -1)
    one = put(walls, device)
    hits = (one[:, None, None] + one[None, :, None] + one[None, None, :]).flatten()
    nearest = put(np.linalg.norm(mouth - ear, axis=1)[:, None], device).double()
    path = put(direct_m[:, None], device).double()
    gain = put(kept[:, None], device) ** hits * (path / metres.clamp(min=path)).float()
    place = ((metres - nearest).clamp(min=0) * (rate_hz / SOUND_M_S)).clamp(max=size)
    whole = (place + 1e-6).long()
    share = (place - whole).float().clamp(min=0)
    out = torch.zeros(count, size + 2, device=device)
    out.scatter_add_(1, whole, gain * (1 - share))
    out.scatter_add_(1, whole + 1, gain * share)
    out = out[:, :size]
    out[:, 0] = 1
    return out


def _late(
    count: int, seconds: np.ndarray, rng: np.random.Generator, white: White, rate_hz: int
) -> Tensor:
    """Return noise (count, samples) that starts with variance one and decays band by band."""
    device, size = white.device, int(ROOM_S * rate_hz)
    noise = torch.fft.rfft(white.rows(count, size, rng))
    hz = torch.arange(noise.shape[1], device=device) * (rate_hz / size)
    time_s = torch.arange(size, device=device) / rate_hz
    low, high = rng.uniform(0.8, 1.5, (count, 1)), rng.uniform(0.25, 0.8, (count, 1))
    tilt = np.linspace(0, 1, len(EDGES_HZ) + 1)
    t60_s = (
        seconds[:, None]
        * (low * (1 - tilt) + high * tilt)
        * rng.uniform(0.85, 1.15, (count, len(tilt)))
    )
    # Power below each edge; the slopes are an octave wide, and the bands add up to one.
    edges = put(np.array([*EDGES_HZ, 1e9])[:, None], device)
    upto = torch.sigmoid(-4 * torch.log2((hz + 1) / edges))
    gains = upto.diff(dim=0, prepend=torch.zeros_like(upto[:1])).clamp(min=0).sqrt()
    bands = torch.fft.irfft(noise[:, None] * gains, size)
    late: Tensor = (bands * torch.exp(-6.9 * time_s / put(t60_s[:, :, None], device))).sum(1)
    return late


def measured(library: Library, device: torch.device) -> Tensor | None:
    """Load the measured responses of the library's side of the split.

    A side without measured rooms (of a small cache) does without them.

    Returns:
        Responses (count, SIZE) whose direct sound has energy one, or None if there are none.
    """
    mine = [r for r in library.rooms if r.stop - r.start > 2 * BEFORE]
    if not mine:
        return None
    rooms = np.zeros((len(mine), SIZE), np.float32)
    for row, r in enumerate(mine):
        sound = library.contents.samples_of(r).astype(np.float32)
        peak = int(np.abs(sound).argmax())
        piece = sound[max(0, peak - BEFORE) :][:SIZE]
        direct = np.sqrt((sound[max(0, peak - BEFORE) : peak + 96] ** 2).sum()) + 1e-9
        rooms[row, : len(piece)] = piece / direct
    return torch.from_numpy(rooms).to(device)
