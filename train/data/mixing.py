"""The degradations of the `speech` recipe, for a whole batch at a time.

Voices and noises are made in the time domain and kept as spectra. Mixing, levels and band limits
are applied to the spectra, which costs a fraction: the transform is linear, so the spectrum of a
mixture is the sum of the spectra. All random numbers come from numpy, so a seed gives the same
examples on every device; the computations run on the device of the pool.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..sections import Degrade
from ..spectra import Framing, spectra
from .echoes import ROOM_S, White, early, simulate
from .library import Library
from .noisemakers import worn

CPU = torch.device("cpu")


def on(device: torch.device, values: NDArray[np.generic]) -> Tensor:
    """Copy drawn numbers to *device* as float32."""
    return torch.from_numpy(values.astype(np.float32)).to(device)


def curve(
    count: int,
    points: int,
    decibels: tuple[float, float],
    size: int,
    rng: np.random.Generator,
    device: torch.device,
) -> Tensor:
    """Draw smooth gains (count, size): uniform in dB at *points* places, interpolated between."""
    db = on(device, rng.uniform(*decibels, (count, 1, points)))
    return (10 ** (functional.interpolate(db, size, mode="linear") / 20))[:, 0]


@lru_cache
def _white(device: torch.device) -> White:
    return White(device)


def rooms(
    count: int, settings: Degrade, rate_hz: int, rng: np.random.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Simulate impulse responses, whose echoes have the drawn energy relative to the direct sound.

    Returns:
        The responses (count, samples), and the part of them that the target keeps.
    """
    room = simulate(count, settings.t60_s, rng, _white(device), rate_hz)
    drr_db = on(device, rng.uniform(*settings.drr_db, (count, 1)))
    room[:, 1:] *= 10 ** (drr_db / 20) / room[:, 1:].norm(dim=1, keepdim=True)
    return room, early(room, settings, rate_hz)


def voices(
    library: Library,
    count: int,
    settings: Degrade,
    framing: Framing,
    rng: np.random.Generator,
    device: torch.device = CPU,
    kind: str = "speech",
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw voices (or music), put some in rooms, equalise them and bring them to unit level.

    Returns:
        Spectra (count, 2, T, bins) of the captured voices, with the whole room, and of their
        targets, and the bandwidth in Hz (count,).
    """
    samples = _samples(library, framing)
    audio, bandwidth_hz = library.excerpts_on(device, kind, count, samples, rng, active=True)
    size = 1 << (samples + int(ROOM_S * framing.rate_hz)).bit_length()
    eq_db = settings.speech_eq_db
    eq = curve(count, 8, (-eq_db, eq_db), size // 2 + 1, rng, device)
    dry = torch.fft.rfft(audio, size) * eq
    captured, target = dry.clone(), dry
    if wet := int(rng.binomial(count, settings.reverb_share)):
        room, early = rooms(wet, settings, framing.rate_hz, rng, device)
        captured[:wet] *= torch.fft.rfft(room, size)
        target[:wet] *= torch.fft.rfft(early, size)
    x, y = (torch.fft.irfft(z, size)[:, :samples] for z in (captured, target))
    level = x.std(1, keepdim=True) + 1e-5
    return spectra(x / level, framing), spectra(y / level, framing), bandwidth_hz


def noises(
    library: Library,
    count: int,
    settings: Degrade,
    framing: Framing,
    rng: np.random.Generator,
    device: torch.device = CPU,
) -> Tensor:
    """Draw noises of unit level: recorded ones (half at another speed), synthetic, worn, music.

    Returns:
        Spectra (count, 2, T, bins) of the noises.
    """
    samples = _samples(library, framing)
    recorded, _ = library.excerpts_on(device, "noise", count, samples, rng)
    speed = np.where(rng.random((count, 1)) < 0.5, rng.uniform(0.7, 1.4, (count, 1)), 1.0)
    audio = faster(recorded, on(device, speed))
    size = 1 << (samples - 1).bit_length()
    z = torch.fft.rfft(audio, size)
    coloured = int(rng.binomial(count, settings.coloured_share))
    if coloured:
        white = on(device, rng.standard_normal((coloured, samples), dtype=np.float32))
        slope = on(device, rng.uniform(0, 1.2, (coloured, 1)))
        pitch = torch.arange(size // 2 + 1, device=device) + 1
        z[:coloured] = torch.fft.rfft(white, size) * pitch ** (-slope / 2)
    upto = coloured + min(int(rng.binomial(count, settings.worn_share)), count - coloured)
    if upto > coloured:
        z[coloured:upto] = torch.fft.rfft(worn(upto - coloured, samples, rng, _white(device)), size)
    tunes = min(int(rng.binomial(count, settings.music_share)), count - upto)
    if tunes and library.recordings["music"]:
        music, _ = library.excerpts_on(device, "music", tunes, samples, rng)
        z[upto : upto + tunes] = torch.fft.rfft(music, size)
    eq_db = settings.noise_eq_db
    z *= curve(count, 8, (-eq_db, eq_db), size // 2 + 1, rng, device)
    audio = torch.fft.irfft(z, size)[:, :samples]
    swelling = on(device, rng.random((count, 1))) < 0.3
    audio = torch.where(swelling, audio * curve(count, 9, (-12, 6), samples, rng, device), audio)
    return spectra(audio / (audio.std(1, keepdim=True) + 1e-6), framing)


def faster(audio: Tensor, speed: Tensor) -> Tensor:
    """Play rows (B, samples) at speeds (B, 1) by linear interpolation; a row that ends repeats."""
    samples = audio.shape[1]
    # float64, because at sample 120,000 a float32 position is 0.008 off: audible noise.
    places = (torch.arange(samples, device=audio.device).double() * speed.double()) % (samples - 1)
    before = places.long()
    share = (places - before).float()
    return audio.gather(1, before) * (1 - share) + audio.gather(1, before + 1) * share


def _samples(library: Library, framing: Framing) -> int:
    """Return the length of an excerpt in samples, a multiple of the hop."""
    hop = framing.hop
    return int(library.data.seconds * framing.rate_hz) // hop * hop + hop


class Pool:
    """A store of voices and noises as spectra; each step renews a few of them and mixes anew.

    Because a step renews a quarter of a batch, the data cost a tenth of a step, and no mixture
    occurs twice. The batch of a step depends on seed and step alone: slots are renewed in turn, by
    a random generator of that step, so a run that was stopped continues with the same data.

    Args:
        library: Source of the excerpts.
        settings: Settings of the degradations.
        framing: Windows and rate of the net to train.
        size: Number of voices, and of noises, in the store.
        batch: Number of examples in a batch.
        seed: Seed of the sounds and of the mixtures.
        step: First step that will be asked for.
        device: Device of the store.
        kind: Kind of the recordings that are degraded: speech or music.
    """

    def __init__(
        self,
        library: Library,
        settings: Degrade,
        framing: Framing,
        size: int,
        batch: int,
        seed: int,
        step: int = 0,
        device: torch.device = CPU,
        kind: str = "speech",
    ) -> None:
        library.need(kind, "noise")
        if device.type != "cpu":
            library.hold(device)
        self.library, self.settings, self.framing = library, settings, framing
        self.size, self.seed, self.kind = size, seed, kind
        self.count, self.fresh, self.device = batch, max(4, batch // 4), device
        self.hops = _samples(library, framing) // framing.hop - 1
        shape = (size, 2, self.hops, framing.bins)
        self.slots = [torch.empty(shape, device=device) for _ in range(2)]
        self.slots += [torch.empty(size, device=device), torch.empty(shape, device=device)]
        self.ahead = device.type != "cpu"  # on a CPU a helper thread would take cores from the step
        self._helper = ThreadPoolExecutor(1)
        self._next: Future[tuple[Tensor, ...]] | None = None
        for before in range(step - -(-size // self.fresh), step):
            self._renew(before, self._make(before))

    def _make(self, step: int) -> tuple[Tensor, ...]:
        """Make new sounds for the slots that *step* renews."""
        rng = np.random.default_rng([self.seed, step + 1_000_000, 1])
        what = self.library, self.fresh, self.settings, self.framing, rng, self.device
        return (*voices(*what, self.kind), noises(*what))

    def _renew(self, step: int, made: tuple[Tensor, ...]) -> None:
        at = (step * self.fresh + torch.arange(self.fresh, device=self.device)) % self.size
        for slots, fresh in zip(self.slots, made, strict=True):
            slots[at] = fresh

    def _fresh(self, step: int) -> tuple[Tensor, ...]:
        """Return the result of `_make`, computed during the step before if `ahead` is set."""
        if not self.ahead:
            return self._make(step)
        made = self._next.result() if self._next else self._make(step)
        self._next = self._helper.submit(self._make, step + 1)
        return made

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mix the examples of *step*; steps have to be asked for in order.

        Returns:
            Spectra (B, 2, T, bins) of the degraded sound and of the target, and the bandwidth of
            the target's recording in Hz (B,).
        """
        self._renew(step, self._fresh(step))
        captured, target, voice_hz, noise_slots = self.slots
        rng, s = np.random.default_rng([self.seed, step + 1_000_000]), self.settings
        count = self.count
        voice, first, second = (
            torch.from_numpy(rng.choice(self.size, count, replace=False)).to(self.device)
            for _ in range(3)
        )
        share = np.asarray(s.snr_share)
        snr_db = rng.choice(s.snr_db, count, p=share / share.sum()) + rng.uniform(-2.5, 2.5, count)
        noise = torch.roll(noise_slots[first], int(rng.integers(self.hops)), 2)
        two = rng.random(count) < s.second_noise_share
        other = self._column(np.where(two, 10 ** (rng.uniform(-12, 0, count) / 20), 0.0))
        noise = noise + other * noise_slots[second]
        noise *= self._column(10 ** (-snr_db / 20)) / (1 + other**2).sqrt()
        level = self._column(10 ** (rng.uniform(*s.level_db, count) / 20))
        x = (captured[voice] + noise) * level
        y, bandwidth_hz = target[voice] * level, voice_hz[voice]
        for row in np.flatnonzero(rng.random(count) < s.band_limit_share):
            cut_hz = float(rng.choice(s.band_limit_hz))
            cut = round(cut_hz * self.framing.window / self.framing.rate_hz)
            x[row, :, :, cut:] = 0
            y[row, :, :, cut:] = 0
        return x, y, bandwidth_hz

    def _column(self, values: NDArray[np.float64]) -> Tensor:
        """Shape one number a row so that it multiplies spectra, (B, 1, 1, 1)."""
        return on(self.device, values)[:, None, None, None]


def band_mask(bandwidth_hz: Tensor, framing: Framing) -> Tensor:
    """Return a mask (B, 1, bins): 1 for bins below each row's bandwidth (B,) in Hz, else 0."""
    bins = torch.arange(framing.bins, device=bandwidth_hz.device)
    hz = bins * framing.rate_hz / framing.window
    return (hz[None] < bandwidth_hz[:, None]).float()[:, None]
