"""What listeners hear, as losses on spectra: quality after PESQ, intelligibility after ESTOI.

Both metrics look at energies in bands of windows of about 25 ms, and so can read the windows that
training on spectra already has, without going back to sound. They are close to the metrics, but not
the metrics: a net's windows are not theirs (tests/train/losses/test_perceptual.py).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..spectra import Framing


class Estoi(nn.Module):
    """1 - ESTOI, mean over a batch (Jensen and Taal 2016, IEEE TASLP 24(11)).

    Third-octave envelopes of 384 ms, normalised along time and then along frequency, are compared
    by their correlation; frames 40 dB below the loudest are left out.
    """

    to_bands: Tensor

    def __init__(self, framing: Framing, stride: int = 6) -> None:
        super().__init__()
        centres_hz = 150.0 * 2.0 ** (np.arange(15) / 3)
        low_hz, high_hz = centres_hz * 2 ** (-1 / 6), centres_hz * 2 ** (1 / 6)
        hz = framing.hz[framing.hz < 5000]  # what the metric's 10 kHz hold
        inside = (hz[:, None] >= low_hz) & (hz[:, None] < high_hz)
        self.register_buffer("to_bands", torch.from_numpy(inside.astype(np.float32)))
        self.frames, self.stride = round(0.384 * framing.hops_a_second), stride

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Energies of bins (B, T, bins) each -> 0 (equal) .. 2; 0 where there is no segment."""
        estimate, reference = (e[:, :, : len(self.to_bands)] for e in (estimate, reference))
        loudness = reference.sum(2)
        active = loudness > 1e-4 * loudness.amax(1, keepdim=True)
        # Active frames first, in their order, as if the silent ones were cut out of the sound.
        order = torch.argsort((~active).to(torch.uint8), dim=1, stable=True)[:, :, None]
        segments = []
        for energy in (estimate, reference):
            bands = torch.sqrt(energy @ self.to_bands + 1e-12)
            bands = bands.gather(1, order.expand_as(bands))
            segments.append(self._normal(bands.unfold(1, self.frames, self.stride)))
        first = torch.arange(segments[0].shape[1], device=order.device) * self.stride
        whole = (first[None] + self.frames <= active.sum(1, keepdim=True)).float()
        similar = (segments[0] * segments[1]).sum((2, 3)) / self.frames
        return ((1 - similar) * whole).sum() / whole.sum().clamp(min=1.0)

    def _normal(self, segments: Tensor) -> Tensor:
        """Zero mean and unit norm, each band along time, then each frame along frequency."""
        for dim in (3, 2):
            segments = segments - segments.mean(dim, keepdim=True)
            segments = segments / (segments.square().sum(dim, keepdim=True) + 1e-12).sqrt()
        return segments


class Pmsqe(nn.Module):
    """Disturbance of P.862.2 (wideband PESQ): 4.5 minus the raw score, mean over a batch.

    After Martin-Donas et al. 2018 (IEEE SPL 25(11)), who dropped the alignment in time: power in
    Bark bands, levelled frame by frame, Zwicker's loudness, and the symmetric and asymmetric
    distance, by L6 over 320 ms and L2 over those. The equaliser of P.862 is left out: a net has
    no business to colour voices.

    Constants are those of P.862: threshold of hearing, Sp and Sl, exponents and caps.
    """

    THRESHOLD_HZ = (96, 162, 230, 300, 372, 484, 607, 785, 1000, 2000, 4000, 8000)
    THRESHOLD = (4900.0, 390.0, 45.7, 9.8, 3.1, 0.98, 0.39, 0.295, 0.251, 0.44, 0.52, 0.53)
    LEVEL = 2e9  # power of the voice, mean over frames, after P.862's alignment and filter
    WIDTH_BARK = 0.46

    to_bands: Tensor
    threshold: Tensor
    exponent: Tensor

    def __init__(self, framing: Framing) -> None:
        super().__init__()
        hz = framing.hz[framing.hz < 8000]
        bark = 7 * np.arcsinh(hz / 650)  # Schroeder 1979
        places = np.floor(bark / self.WIDTH_BARK)
        places[0] = -1  # P.862 does not hear DC
        bank = (places[:, None] == np.unique(places[1:])).astype(np.float32)
        centre_hz, centre_bark = (bank * v[:, None] for v in (hz, bark))
        centre_hz, centre_bark = centre_hz.sum(0) / bank.sum(0), centre_bark.sum(0) / bank.sum(0)
        threshold = np.interp(centre_hz, self.THRESHOLD_HZ, np.log(self.THRESHOLD))
        exponent = 0.23 * np.clip(6 / (centre_bark + 2), 1, 2) ** 0.15
        self.register_buffer("to_bands", torch.from_numpy(bank))
        self.register_buffer("threshold", torch.from_numpy(np.exp(threshold)).float())
        self.register_buffer("exponent", torch.from_numpy(exponent).float())
        low, high = (round(hz / framing.rate_hz * framing.window) for hz in (325, 3250))
        self.levelled = slice(low, high + 1)
        self.frames = round(0.32 * framing.hops_a_second)

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Energies of bins (B, T, bins) each -> 0 (equal) .. about 4."""
        estimate, reference = (e[:, :, : len(self.to_bands)] for e in (estimate, reference))
        level = reference[:, :, self.levelled].sum(2).mean(1)[:, None, None]
        # Where silence is wanted there is no level to bring voices to, and no quality.
        scale = torch.where(level > 1e-6, self.LEVEL / (level + 1e-9), 0.0)
        e, r = (energy @ self.to_bands * scale for energy in (estimate, reference))
        total = self._audible(r)
        ratio = (total + 5e3) / (self._audible(e) + 5e3)
        ratio = torch.cat([ratio[:, :1], 0.8 * ratio[:, 1:] + 0.2 * ratio[:, :-1]], 1)
        e = e * ratio.clamp(3e-4, 5.0)[:, :, None]

        loud_e, loud_r = self._loudness(e), self._loudness(r)
        off = loud_e - loud_r
        off = torch.relu(off.abs() - 0.25 * torch.minimum(loud_e, loud_r))
        # What was added is heard more than what is missing.
        worse = torch.exp(1.2 * torch.log((e + 50) / (r + 50)))
        worse = torch.where(worse < 3, 0.0, worse.clamp(max=12.0))
        width = self.WIDTH_BARK * off.shape[2]
        symmetric = (width * self.WIDTH_BARK * off.square().sum(2) * self.WIDTH_BARK + 1e-6).sqrt()
        asymmetric = self.WIDTH_BARK * (off * worse).sum(2)
        ease = ((total + 1e5) / 1e7) ** 0.04
        return 0.1 * self._over_time(symmetric / ease) + 0.0309 * self._over_time(asymmetric / ease)

    def _audible(self, power: Tensor) -> Tensor:
        return torch.where(power > self.threshold, power, 0.0).sum(2)

    def _loudness(self, power: Tensor) -> Tensor:
        """Zwicker's law, sone a Bark."""
        # exp(log) and not **: compiled, it is what the machine computes eight at a time.
        over = torch.exp(self.exponent * torch.log(0.5 + 0.5 * power / self.threshold)) - 1
        return 0.187 * (2 * self.threshold) ** self.exponent * torch.relu(over)

    def _over_time(self, frames: Tensor) -> Tensor:
        """L6 over syllables, L2 over those: the worst moments count."""
        syllables = frames.clamp(max=45.0).unfold(1, self.frames, self.frames // 2)
        peaks = ((syllables / 45) ** 6).mean(2).clamp(min=1e-30) ** (1 / 6) * 45
        return peaks.square().mean(1).sqrt().mean()
