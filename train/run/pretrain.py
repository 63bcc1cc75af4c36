"""Training of the nets of feature losses on clean recordings.

The autoencoder of Kim and Sathe 2019 needs no labels. Germain et al. 2018 trained their classifier
on the labels of DCASE and CHiME; here the labels are the sources of the recordings in a cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import Recipe
from ..data.layouts import KINDS
from ..data.library import Library
from ..losses.features import at_level, feature_net
from ..networks.mugan import Autoencoder
from ..sections import Optim
from ..systems.base import half, optimisers, step_by


class _Sounds:
    """A sampler of excerpts of every kind, labelled by their sources.

    Args:
        library: Recordings to draw from.
        samples: Length of an excerpt.
        batch: Number of excerpts in a batch.
    """

    def __init__(self, library: Library, samples: int, batch: int) -> None:
        self.library, self.samples, self.batch = library, samples, batch
        rate_hz = library.rate_hz
        self.kinds = [kind for kind in KINDS if library.recordings[kind]]
        # Sources of less than 20 s could not be learned: all of a kind share one label.
        long = {
            library.index.texts["source"].name(code)
            for kind in self.kinds
            for code in np.flatnonzero(library.samples_of_sources(kind) > 20 * rate_hz).tolist()
        }
        self.labels = sorted(long) + [f"other {kind}" for kind in self.kinds]
        self.index = {label: number for number, label in enumerate(self.labels)}

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw a batch of sound (B, samples) and its labels (B,)."""
        rows: list[np.ndarray] = []
        labels: list[int] = []
        while len(rows) < self.batch:
            kind = self.kinds[rng.integers(len(self.kinds))]
            recordings = self.library.recordings[kind]
            source = recordings[int(rng.integers(len(recordings)))].source
            audio = self.library.piece(kind, source, self.samples / self.library.data.rate_hz, rng)
            if audio.std() > 1e-4:
                rows.append(audio[: self.samples])
                labels.append(self.index.get(source, self.index[f"other {kind}"]))
        return torch.from_numpy(np.stack(rows)), torch.tensor(labels)


def pretrain(
    kind: str, recipe: Recipe, cache: Path, out: Path, steps: int = 500, width: float = 0.25
) -> float:
    """Train a feature net on the clean recordings of the training side, and write it to *out*.

    Args:
        kind: autoencoder or germain.
        recipe: Recipe whose data, batch and seed are used.
        cache: Folder that `data.prepare` wrote.
        out: File for the weights; it is replaced when the net is trained.
        steps: Number of training steps.
        width: Factor on the number of the net's channels; 1 is the paper's.

    Returns:
        Mean loss of the last tenth of the steps: the squared error relative to the energy of the
        sound, or the cross entropy in nats.
    """
    torch.manual_seed(recipe.run.seed)
    torch.set_num_threads(recipe.run.threads)
    rng = np.random.default_rng(recipe.run.seed)
    library = Library(cache, recipe.data)
    samples = int(recipe.data.seconds * recipe.data.rate_hz) // 1024 * 1024
    sounds = _Sounds(library, samples, recipe.optim.batch)
    settings: dict[str, Any] = (
        {"width": width}
        if kind == "autoencoder"
        else {"labels": len(sounds.labels), "base": max(4, round(32 * width))}
    )
    net = feature_net(kind, settings)
    folded, both = optimisers(net, Optim(muon_lr=2e-3, lr=1e-3))
    peaks = [optimiser.param_groups[0]["lr"] for optimiser in both]
    losses: list[float] = []
    for step in range(steps):
        audio, labels = sounds.draw(rng)
        audio, _ = at_level(audio, audio)
        x = audio[:, None]
        with half(x.device):
            y = net(x).float()
        made_again = isinstance(net, Autoencoder)
        loss = ((y - x) ** 2).mean() if made_again else functional.cross_entropy(y, labels)
        net.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        share = min(1.0, 2.0 * (1.0 - step / steps))
        step_by(folded, both, [share * peak for peak in peaks])
        losses.append(float(loss.detach()))
        if step % 25 == 24:
            print(step + 1, f"{np.mean(losses[-25:]):.4f}", flush=True)
    part = out.with_name(out.name + ".new")
    torch.save({"kind": kind, "settings": settings, "net": net.state_dict()}, part)
    part.replace(out)
    return float(np.mean(losses[-max(1, steps // 10) :]))
