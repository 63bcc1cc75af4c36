"""Scenes whose band is limited, simulated anew for every step, for bandwidth extension.

    voice or music x speed -> colour -> room ---> + ----> microphone -> level -> low-pass -> x
                                              |   noise        |
                                              ---------------> microphone -> level --------> y

Whole batches are computed on the device of the net, as those of data/scenes.py are. The low-passes
are those of devices, whose slopes are Butterworth's, and those of resamplers and codecs, which are
steep. Nothing is taken from the target but the noise: whoever extends a band must not extend noise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .bank import put, some
from .scenes import Rng, Scenes, rms

STEEP_OCTAVES = (0.01, 0.15)  # width of the edge of a steep low-pass
ORDER = (6, 15)  # of the others, the second excluded


class Narrowed(Scenes):
    """A source of examples whose input has a limited band, a `systems.base.Feed`.

    The arguments are those of `Scenes`; the recipe's table [narrow] limits the band.
    """

    @torch.no_grad()
    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Simulate the examples of *step*.

        Returns:
            Degraded sound and target (B, samples), and the bandwidth of the target's recording in
            Hz (B,).
        """
        rng = np.random.default_rng([self.seed, step + 1_000_000, 3])
        own, count = self.narrow, self.count
        y, _, hz = self.voices(rng)
        x = y
        if len(noisy := some(count, own.noise_share, rng)):
            loudness = np.zeros((count, 1))
            loudness[noisy] = 10 ** (-rng.uniform(*own.snr_db, (len(noisy), 1)) / 20)
            x = y + self.noises(rng) * put(loudness, self.device)
        if len(colour := some(count, self.own.microphone_share, rng)):
            db = rng.uniform(-own.microphone_db, own.microphone_db, (len(colour), 10))
            rows, response = put(colour, self.device), self.filters.smooth(db)
            x, y = (self._filtered(sound, rows, response) for sound in (x, y))
        gain = self._gain(x, rms(y), rng)
        x, y = x * gain, y * gain
        if len(limited := some(count, own.share, rng)):
            x = self._filtered(x, put(limited, self.device), self.low_passes(len(limited), rng))
        return x, y, put(hz, self.device)

    def low_passes(self, rows: int, rng: Rng) -> Tensor:
        """Draw magnitude responses (rows, bins) that end anywhere in the range of [narrow]."""
        own = self.narrow
        low, high = np.log2(own.cutoff_hz)
        cutoff = put(2 ** rng.uniform(low, high, (rows, 1)), self.device)
        octaves = torch.log2((self.filters.hz + 1e-3) / cutoff)
        order = put(rng.integers(*ORDER, (rows, 1)).astype(float), self.device)
        gentle = torch.sigmoid(-1.386 * order * octaves).sqrt()  # Butterworth's
        width = put(rng.uniform(*STEEP_OCTAVES, (rows, 1)), self.device)
        steep = (0.5 - octaves / width).clamp(0, 1)
        chosen = put((rng.random((rows, 1)) < own.steep_share).astype(float), self.device)
        return torch.lerp(gentle, steep, chosen)
