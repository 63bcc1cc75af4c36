"""Acoustic scenes, simulated anew for every step: voices, rooms, noises and microphones.

    voice x speed -> colour -> room ---------------------> + -> microphone -> level -> faults -> x
                            -> first 20 ms of the room ------> microphone -> level ---------> y
    noises x speed, layered -> colour -> rooms of their own ^

For a recipe of music, pieces of music take the place of the voices: one at a time, and with neither
babble nor music among the noises. Hiss, hum, crackle and rumble of old recordings are added to any
sound as they are, without colour, room or swell.

Whole batches are computed on the device of the net. The target is filtered like the input, because
a denoiser must not learn to invent what a microphone lost. The examples of a step depend on seed
and step alone: numpy draws the random numbers, and the device computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rtdenoise.errors import UsageError

from ..config import Recipe
from ..sections import Degrade
from ..spectra import Framing, spectra
from .bank import RATE_HZ, Bank, put, some
from .echoes import SIZE, White, early, measured, simulate
from .library import Library
from .mixing import band_mask
from .noisemakers import Filters, clicks, even, hum, line, tones, worn

Rng = np.random.Generator
FRAME = 480  # samples over which a gate measures the level
LOUDEST = 0.98  # largest peak of the input
TELEPHONE_HZ = 3400.0
DIRECT = 112  # samples of a response that count as its direct sound: 2.3 ms


def rms(audio: Tensor) -> Tensor:
    """Return the RMS level of rows (rows, samples), shape (rows, 1) and never zero."""
    return audio.square().mean(1, keepdim=True).sqrt() + 1e-6


class Scenes:
    """A source of simulated examples, a `systems.base.Feed`.

    Args:
        library: Source of the recordings.
        recipe: Recipe with the tables [degrade] and [scenes].
        framing: Windows of the net to train, at 48 kHz.
        batch: Number of examples in a batch.
        seed: Seed of everything drawn.
        device: Device of the computations and of the batches.

    Raises:
        UsageError: the net has another rate than 48 kHz, or the library lacks noise or what the
            recipe restores: speech or music.
    """

    def __init__(
        self,
        library: Library,
        recipe: Recipe,
        framing: Framing,
        batch: int,
        seed: int,
        device: torch.device,
    ) -> None:
        if framing.rate_hz != RATE_HZ:
            raise UsageError(f"scenes have {RATE_HZ} Hz, but the net works at {framing.rate_hz} Hz")
        library.need(recipe.kind, "noise")
        self.common: Degrade = recipe.degrade
        self.own, self.narrow = recipe.scenes, recipe.narrow
        self.count, self.seed, self.device = batch, seed, device
        self.kind = recipe.kind
        if self.kind == "music":
            self.own = replace(self.own, two_talkers_share=0.0, babble_share=0.0)
            self.common = replace(self.common, music_share=0.0)
        self.bank = Bank(library, device, (self.kind, "noise", "music"))
        self.white = White(device)
        self.measured = measured(library, device)
        hop, self.framing = framing.hop, framing
        self.samples = int(recipe.data.seconds * RATE_HZ) // hop * hop + hop
        self.size = even(self.samples + SIZE)
        self.filters = Filters(self.size, device)

    @torch.no_grad()
    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Simulate the examples of *step*.

        Returns:
            Spectra (B, 2, T, bins) of the degraded sound and of the target, and the bandwidth of
            the target's recording in Hz (B,).
        """
        x, y, hz, limit_hz = self.sounds(np.random.default_rng([self.seed, step + 1_000_000, 2]))
        both = spectra(torch.cat([x, y]), self.framing)
        keep = band_mask(put(limit_hz, self.device), self.framing)[:, None]
        both = (both.view(2, self.count, 2, -1, self.framing.bins) * keep).contiguous()
        return both[0], both[1], put(hz, self.device)

    def sounds(self, rng: Rng) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
        """Simulate input and target (B, samples); also returns two bandwidths in Hz (B,).

        The first is the bandwidth of the voice's recording, the second that of the device.
        """
        own, common, count = self.own, self.common, self.count
        captured, target, hz = self.voices(rng)
        share = np.asarray(common.snr_share)
        snr_db = rng.choice(common.snr_db, count, p=share / share.sum())
        snr_db = snr_db + rng.uniform(-2.5, 2.5, count)
        kind = rng.random(count)
        snr_db = np.where(kind < own.clean_share, rng.uniform(30, 50, count), snr_db)
        gain, edge = 10 ** (-snr_db / 20), own.clean_share + own.noiseless_share
        gain[(kind >= own.clean_share) & (kind < edge)] = 0.0
        speechless = (kind >= edge) & (kind < edge + own.speechless_share)
        gain[speechless] = 1.0
        voiced = put((~speechless).astype(float), self.device)[:, None]
        x = captured * voiced + self.noises(rng) * put(gain, self.device)[:, None]
        return self._device(x, target * voiced, hz, voiced, rng)

    def voices(self, rng: Rng) -> tuple[Tensor, Tensor, np.ndarray]:
        """Draw voices, or pieces of music, some of them in rooms.

        Returns:
            Captured voices of unit level and their targets (B, samples), bandwidths in Hz (B,).
        """
        own, count = self.own, self.count
        audio, hz = self._voice(count, rng)
        if len(two := some(count, own.two_talkers_share, rng)):
            other, other_hz = self._voice(len(two), rng)
            other = other * put(10 ** (rng.uniform(-9, 3, (len(two), 1)) / 20), self.device)
            audio.index_add_(0, put(two, self.device), other)
            hz[two] = np.minimum(hz[two], other_hz)
        eq_db = self.common.speech_eq_db
        colour = self.filters.smooth(rng.uniform(-eq_db, eq_db, (count, 10)))
        dry = torch.fft.rfft(audio, self.size) * colour
        captured, target = dry, dry
        if len(wet := some(count, self.common.reverb_share, rng)):
            rows, rooms = put(wet, self.device), self.rooms(len(wet), rng)
            kept = early(rooms, self.common)
            captured = dry.index_copy(0, rows, dry[rows] * torch.fft.rfft(rooms, self.size))
            target = dry.index_copy(0, rows, dry[rows] * torch.fft.rfft(kept, self.size))
        x, y = (torch.fft.irfft(z, self.size)[:, : self.samples] for z in (captured, target))
        level = rms(x)
        return x / level, y / level, hz

    def _voice(self, count: int, rng: Rng) -> tuple[Tensor, np.ndarray]:
        """Draw voices or music of unit level (count, samples) at their speeds; their bandwidths."""
        other = rng.random(count) < self.own.speed_share
        speed = np.where(other, rng.uniform(*self.own.speed, count), 1.0)
        audio, hz = self.bank.excerpts(self.kind, self.samples, speed, rng)
        return audio / rms(audio), hz

    def rooms(self, count: int, rng: Rng) -> Tensor:
        """Draw room responses (count, SIZE), simulated and measured ones."""
        rooms = simulate(count, self.common.t60_s, rng, self.white)
        if self.measured is not None:
            rows = some(count, self.own.measured_share, rng)
            pick = rng.integers(0, len(self.measured), len(rows))
            if len(rows):
                chosen = self.measured[put(pick, self.device)]
                rooms = rooms.index_copy(0, put(rows, self.device), chosen)
        # Halls measured from the last row are no place to talk in: bring the talker nearer, by 0 to
        # 9 dB, or as much as the setting asks for.
        direct, rest = rooms[:, :DIRECT], rooms[:, DIRECT:]
        share = direct.square().sum(1, keepdim=True) / (rest.square().sum(1, keepdim=True) + 1e-9)
        nearer = put(10 ** (rng.uniform(-9, 0, (count, 1)) / 20), self.device)
        nearer = torch.minimum(nearer, (share * 10 ** (self.own.echoes_db / 10)).sqrt())
        return torch.cat([direct, rest * nearer], 1)

    def noises(self, rng: Rng) -> Tensor:
        """Draw one to three simultaneous noises for each example: their sum at unit level."""
        share = np.asarray(self.own.noises) / sum(self.own.noises)
        layers, left = np.ones(self.count, np.int64), rng.permutation(self.count)
        for number in range(1, len(share)):
            these = int(self.count * share[number] + rng.random())
            layers[left[:these]], left = number + 1, left[these:]
        owner = np.repeat(np.arange(self.count), layers)
        rows = len(owner)
        audio, recorded = self._sources(rows, rng)
        z = torch.fft.rfft(audio, self.size)
        eq_db = self.common.noise_eq_db
        z = z * self.filters.smooth(rng.uniform(-eq_db, eq_db, (rows, 10)))
        if len(wet := some(rows, self.own.noise_room_share, rng)):
            where = put(wet, self.device)
            z = z.index_copy(
                0, where, z[where] * torch.fft.rfft(self.rooms(len(wet), rng), self.size)
            )
        audio = self._swell(torch.fft.irfft(z, self.size)[:, : self.samples], rng)
        old = recorded[: int(rows * self.common.worn_share + rng.random())]
        if len(old):
            made = worn(len(old), self.samples, rng, self.white)
            audio = audio.index_copy(0, put(old, self.device), made)
        first = np.concatenate([[True], owner[1:] != owner[:-1]])
        level = np.where(first, 1.0, 10 ** (rng.uniform(-12, 0, rows) / 20))[:, None]
        audio = audio / rms(audio) * put(level, self.device)
        total = torch.zeros(self.count, self.samples, device=self.device)
        total.index_add_(0, put(owner, self.device), audio)
        return total / rms(total)

    def _sources(self, rows: int, rng: Rng) -> tuple[Tensor, np.ndarray]:
        """Draw single noises: recorded, synthetic, babble or music.

        Returns:
            The noises (rows, samples), and the numbers of those that are recorded ones.
        """
        other = rng.random(rows) < 0.6
        speed = np.where(other, rng.uniform(*self.own.noise_speed, rows), 1.0)
        audio, _ = self.bank.excerpts("noise", self.samples, speed, rng)
        synthetic = self.own.synthetic_share / 4
        makers: list[tuple[float, Callable[[int, Rng], Tensor]]] = [
            (self.common.coloured_share, self._coloured),
            (synthetic, lambda n, r: tones(n, self.samples, r, self.device)),
            (synthetic, lambda n, r: hum(n, self.samples, r, self.device)),
            (synthetic, lambda n, r: clicks(n, self.samples, r, self.device)),
            (synthetic, self._coloured),
            (self.own.babble_share, self._babble),
        ]
        if self.bank.has("music"):
            makers.append((self.common.music_share, self._music))
        left = rng.permutation(rows)
        for share, make in makers:
            number = int(rows * share + rng.random())
            place, left = left[:number], left[number:]
            if len(place):
                audio = audio.index_copy(0, put(place, self.device), make(len(place), rng))
        return audio, left

    def _coloured(self, rows: int, rng: Rng) -> Tensor:
        """Make noise (rows, samples) whose spectrum falls by 0 to 6 dB an octave."""
        z = torch.fft.rfft(self.white.rows(rows, self.samples, rng), self.size)
        z = z * self.filters.slope(rng.uniform(0, 6, rows))
        sound: Tensor = torch.fft.irfft(z, self.size)[:, : self.samples]
        return sound

    def _babble(self, rows: int, rng: Rng) -> Tensor:
        """Make babble (rows, samples) of 4 to 12 talkers."""
        talkers = rng.integers(4, 13, rows)
        audio, _ = self._voice(int(talkers.sum()), rng)
        audio = audio * put(10 ** (rng.uniform(-8, 0, (len(audio), 1)) / 20), self.device)
        total = torch.zeros(rows, self.samples, device=self.device)
        return total.index_add_(0, put(np.repeat(np.arange(rows), talkers), self.device), audio)

    def _music(self, rows: int, rng: Rng) -> Tensor:
        audio, _ = self.bank.excerpts("music", self.samples, rng.uniform(0.8, 1.25, rows), rng)
        return audio

    def _swell(self, audio: Tensor, rng: Rng) -> Tensor:
        """Modulate the level of some noises: slow swells, pauses, or a flutter."""
        rows = len(audio)
        kind = rng.random((rows, 1))
        depth_db = np.where(kind < 0.3, -14.0, 0.0)
        depth_db = np.where((kind >= 0.3) & (kind < 0.45), -40.0, depth_db)
        db = depth_db * rng.random((rows, 9))
        flutter = np.where((kind > 0.45) & (kind < 0.55), rng.uniform(0.2, 0.9, (rows, 1)), 0.0)
        time_s = torch.arange(self.samples, device=self.device) / RATE_HZ
        rate_hz = put(rng.uniform(0.5, 20, (rows, 1)), self.device)
        wave = 1 + put(flutter, self.device) * torch.sin(2 * np.pi * rate_hz * time_s)
        return audio * wave * torch.exp(0.115129 * line(put(db, self.device), self.samples))

    def _device(
        self, x: Tensor, y: Tensor, hz: np.ndarray, voiced: Tensor, rng: Rng
    ) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
        """Simulate the recording device: microphone, level, band limit and distortion."""
        own, count = self.own, self.count
        if len(colour := some(count, own.microphone_share, rng)):
            rows, response = put(colour, self.device), self.filters.microphone(len(colour), rng)
            x, y = (self._filtered(sound, rows, response) for sound in (x, y))
        gain = self._gain(x, torch.where(voiced > 0, rms(y), rms(x)), rng)
        x, y = x * gain, y * gain
        steps = 10 ** (rng.uniform(-14, 0, (count, 2)) / 20)
        steps = np.where(rng.random((count, 1)) < own.jump_share, steps, 1.0)
        at = put(rng.uniform(0.1, 0.9, (count, 1)) * self.samples, self.device)
        ramp = ((torch.arange(self.samples, device=self.device) - at) / 480 + 0.5).clamp(0, 1)
        one, two = put(steps, self.device).split(1, 1)
        gain = one + (two - one) * ramp
        x, y = x * gain, y * gain
        limit_hz = np.full(count, 1e6)
        narrow = rng.random(count) < self.common.band_limit_share
        limit_hz[narrow] = rng.choice(self.common.band_limit_hz, int(narrow.sum()))
        return *self._faults(x, y, limit_hz, rng), hz, limit_hz

    def _gain(self, x: Tensor, level: Tensor, rng: Rng) -> Tensor:
        """Draw gains (B, 1) that bring *level* (B, 1) into its range and do not clip *x*."""
        wanted = put(10 ** (rng.uniform(*self.common.level_db, (len(x), 1)) / 20), self.device)
        return torch.minimum(wanted / level, LOUDEST / (x.abs().amax(1, keepdim=True) + 1e-6))

    def _filtered(self, sound: Tensor, rows: Tensor, response: Tensor) -> Tensor:
        z = torch.fft.rfft(sound[rows], self.size) * response
        return sound.index_copy(0, rows, torch.fft.irfft(z, self.size)[:, : self.samples])

    def _faults(
        self, x: Tensor, y: Tensor, limit_hz: np.ndarray, rng: Rng
    ) -> tuple[Tensor, Tensor]:
        """Distort a few rows: clipping, saturation, a telephone, or a gate on input and target."""
        bad = some(self.count, self.own.distorted_share, rng)
        kinds = rng.integers(0, 4, len(bad))
        for kind, spoil in enumerate((_clip, _saturate, _telephone)):
            if len(mine := bad[kinds == kind]):
                rows = put(mine, self.device)
                amount = put(rng.uniform(0, 1, (len(mine), 1)), self.device)
                x = x.index_copy(0, rows, spoil(x[rows], amount))
            if spoil is _telephone:
                limit_hz[mine] = TELEPHONE_HZ
        if len(mine := bad[kinds == 3]):
            rows = put(mine, self.device)
            open_ = _gate(x[rows], put(rng.uniform(-30, -15, (len(mine), 1)), self.device))
            x, y = x.index_copy(0, rows, x[rows] * open_), y.index_copy(0, rows, y[rows] * open_)
        return x, y


def _clip(x: Tensor, amount: Tensor) -> Tensor:
    """Clip rows at 0.25 to 0.85 of their peak; *amount* (rows, 1) is 0..1."""
    most = x.abs().amax(1, keepdim=True) * (0.25 + 0.6 * amount) + 1e-6
    return torch.minimum(torch.maximum(x, -most), most)


def _saturate(x: Tensor, amount: Tensor) -> Tensor:
    """Saturate rows by a tanh scaled to 0.3 to 0.9 of their peak; *amount* (rows, 1) is 0..1."""
    most = x.abs().amax(1, keepdim=True) * (0.3 + 0.6 * amount) + 1e-6
    return most * torch.tanh(x / most)


def _telephone(x: Tensor, amount: Tensor) -> Tensor:
    """Quantise rows by the mu law of ITU-T G.711, with 8 bits, or up to 9 by *amount* (rows, 1)."""
    peak = x.abs().amax(1, keepdim=True) + 1e-6
    squeezed = torch.log1p(255 * (x / peak).abs()) / np.log(256)
    levels = 127 * (1 + amount)
    return (
        torch.sign(x) * peak * torch.expm1((squeezed * levels).round() / levels * np.log(256)) / 255
    )


def _gate(x: Tensor, below_db: Tensor) -> Tensor:
    """Return gains (rows, samples) that close where a frame is *below_db* re the loudest frame."""
    frames = functional.avg_pool1d(x[:, None].square(), FRAME, FRAME, ceil_mode=True)[:, 0]
    loud = frames > frames.amax(1, keepdim=True) * 10 ** (below_db / 10)
    kept_open = functional.max_pool1d(loud.float()[:, None], 9, 1, 4)[:, 0]
    return line(kept_open, x.shape[1])
