"""Perceptual losses on spectra: speech quality after PESQ, intelligibility after ESTOI.

Both metrics compare band energies of windows of about 25 ms, so the losses can be computed from the
spectra of training without a return to the time domain. They approximate the metrics, since the
net's windows differ from theirs; tests/train/losses/test_perceptual.py says by how much.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..spectra import Framing


class Estoi(nn.Module):
    """The loss 1 - ESTOI, averaged over a batch (Jensen and Taal 2016, IEEE TASLP 24(11)).

    It correlates third-octave envelopes of 384 ms, normalised along time and then along frequency;
    frames 40 dB below the loudest are left out.

    Args:
        framing: Windows of the spectra.
        stride: Frames from one segment to the next; 1 in the metric.
    """

    to_bands: Tensor

    def __init__(self, framing: Framing, stride: int = 6) -> None:
        super().__init__()
        centres_hz = 150.0 * 2.0 ** (np.arange(15) / 3)
        low_hz, high_hz = centres_hz * 2 ** (-1 / 6), centres_hz * 2 ** (1 / 6)
        hz = framing.hz[framing.hz < 5000]  # the metric resamples to 10 kHz
        inside = (hz[:, None] >= low_hz) & (hz[:, None] < high_hz)
        self.register_buffer("to_bands", torch.from_numpy(inside.astype(np.float32)))
        self.frames, self.stride = round(0.384 * framing.hops_a_second), stride

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Compute the loss of bin energies (B, T, bins): 0 (equal) to 2; 0 without a segment."""
        estimate, reference = (e[:, :, : len(self.to_bands)] for e in (estimate, reference))
        loudness = reference.sum(2)
        active = loudness > 1e-4 * loudness.amax(1, keepdim=True)
        # Move active frames to the front, as if the silent ones had been cut out of the sound.
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
        """Bring each band along time, then each frame along frequency, to mean 0 and norm 1."""
        for dim in (3, 2):
            segments = segments - segments.mean(dim, keepdim=True)
            segments = segments / (segments.square().sum(dim, keepdim=True) + 1e-12).sqrt()
        return segments


class Pmsqe(nn.Module):
    """The disturbance of ITU-T P.862.2 (wideband PESQ): 4.5 minus the raw score, batch mean.

    It follows Martin-Donas et al. 2018 (IEEE SPL 25(11)), who left out the alignment in time: power
    in Bark bands, levelled frame by frame, Zwicker's loudness, and the symmetric and asymmetric
    distance, by L6 over 320 ms and L2 over those. The equaliser of P.862 is left out too, so that
    a net that colours voices pays for it. All constants are those of P.862.

    Args:
        framing: Windows of the spectra.
    """

    THRESHOLD_HZ = (96, 162, 230, 300, 372, 484, 607, 785, 1000, 2000, 4000, 8000)
    THRESHOLD = (4900.0, 390.0, 45.7, 9.8, 3.1, 0.98, 0.39, 0.295, 0.251, 0.44, 0.52, 0.53)
    LEVEL = 2e9  # mean power of the voice after P.862's level alignment and filter
    WIDTH_BARK = 0.46

    to_bands: Tensor
    threshold: Tensor
    exponent: Tensor

    def __init__(self, framing: Framing) -> None:
        super().__init__()
        hz = framing.hz[framing.hz < 8000]
        bark = 7 * np.arcsinh(hz / 650)  # Schroeder 1979
        places = np.floor(bark / self.WIDTH_BARK)
        places[0] = -1  # P.862 leaves out DC
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
        """Compute the loss of bin energies (B, T, bins): 0 (equal) to about 4."""
        estimate, reference = (e[:, :, : len(self.to_bands)] for e in (estimate, reference))
        level = reference[:, :, self.levelled].sum(2).mean(1)[:, None, None]
        # A silent reference has no level and no quality: its rows cost nothing.
        scale = torch.where(level > 1e-6, self.LEVEL / (level + 1e-9), 0.0)
        e, r = (energy @ self.to_bands * scale for energy in (estimate, reference))
        total = self._audible(r)
        ratio = (total + 5e3) / (self._audible(e) + 5e3)
        ratio = torch.cat([ratio[:, :1], 0.8 * ratio[:, 1:] + 0.2 * ratio[:, :-1]], 1)
        e = e * ratio.clamp(3e-4, 5.0)[:, :, None]

        loud_e, loud_r = self._loudness(e), self._loudness(r)
        off = loud_e - loud_r
        off = torch.relu(off.abs() - 0.25 * torch.minimum(loud_e, loud_r))
        # Added components are more audible than missing ones.
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
        """Convert power to loudness in sone per Bark (Zwicker and Feldtkeller 1967)."""
        # exp(log) instead of **, because torch.compile vectorises it.
        over = torch.exp(self.exponent * torch.log(0.5 + 0.5 * power / self.threshold)) - 1
        return 0.187 * (2 * self.threshold) ** self.exponent * torch.relu(over)

    def _over_time(self, frames: Tensor) -> Tensor:
        """Average by L6 over 320 ms and L2 over those, so that the worst moments dominate."""
        syllables = frames.clamp(max=45.0).unfold(1, self.frames, self.frames // 2)
        peaks = ((syllables / 45) ** 6).mean(2).clamp(min=1e-30) ** (1 / 6) * 45
        return peaks.square().mean(1).sqrt().mean()
