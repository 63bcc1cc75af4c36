"""Export of a run as a model of the host: TorchScript with the card inside.

This is the only file of the training system that uses torch.jit, as nets/torchscript.py is in the
host. It refuses a model whose scripted net differs from the eager one, whose windows give another
result one by one than all at once, or whose card has gaps.
"""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rtdenoise import __version__
from rtdenoise.errors import ModelError, UsageError, last_line
from rtdenoise.nets import torchscript as generator
from rtdenoise.nets.card import EXTRA_FILE, Card, weights_sha256

from .. import networks
from ..errors import ArgumentError
from ..networks.protocol import Trainable
from .checkpoint import CHECKPOINT, TrainingError, read, recipe_in, say_unknown, union

TOLERANCE = 1e-5


def export(runs: Path | Sequence[Path], out: Path, metrics: Path | None = None) -> Card:
    """Write the averaged weights of a run, or the mean of those of several runs, to *out*.

    The mean of runs that began with the same weights and trained on different examples is better
    than each of them (model soups, Wortsman et al. 2022, arXiv:2203.05482), so processors that
    share nothing can train together. The same holds for a run and the weights it began with
    (robust fine-tuning, Wortsman et al. 2021, arXiv:2109.01903).

    Args:
        runs: Folder of a run, or of several with the same [net].
        out: Model file, which is replaced in a single operation after all checks.
        metrics: JSON {"SI-SDR dB": {"identity": 3.1, "model": 12.0, ...}, ...} for the card.

    Raises:
        UsageError: a run has no checkpoint or a damaged one, the runs cannot be averaged, or a
            metric lacks the value of the identity.
        ModelError: the net breaks the contract, or has not heard the rate of its card; the message
            says where.
        TrainingError: a checkpoint holds the weights of another net.
    """
    folders = [runs] if isinstance(runs, Path) else list(runs)
    checkpoints = [_checkpoint(run) for run in folders]
    saved = checkpoints[0]
    recipes = [recipe_in(run / CHECKPOINT, s) for run, s in zip(folders, checkpoints, strict=True)]
    recipe = recipes[0]
    for run, other, its in zip(folders, checkpoints, recipes, strict=True):
        if its.net != recipe.net:
            raise UsageError(f"{run} has another [net] than {folders[0]}: their mean is no net")
        # Runs can be averaged if they have the same ancestors, or if one began with the other:
        # then their weights lie in one basin of the loss.
        shared = min(len(other["ancestors"]), len(saved["ancestors"]))
        if len(folders) > 1 and (
            not shared or other["ancestors"][:shared] != saved["ancestors"][:shared]
        ):
            raise ArgumentError(
                f"{run} and {folders[0]} did not begin with the same weights: their mean is no net",
                "start",
            )
    net = networks.make(**recipe.net)
    averages = [other["system"].get("average", {}) for other in checkpoints]
    for run, average in zip(folders, averages, strict=True):
        try:
            net.load_state_dict(average)
        except RuntimeError as error:
            raise TrainingError(
                f"the weights in {run / CHECKPOINT} are not those of its recipe's net "
                f"({last_line(error)})"
            ) from None
    net.load_state_dict({name: _mean([a[name] for a in averages]) for name in averages[0]})
    for run, other in zip(folders, checkpoints, strict=True):
        _check_heard(run, other, net)
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    card = Card(
        name=recipe.name,
        task=recipe.task,
        kind=recipe.kind,
        sample_rate=net.rate_hz,
        window=net.window,
        hop=net.hop,
        analysis_window=net.analysis_window,
        synthesis_window=net.synthesis_window,
        lookahead=net.lookahead,
        parameters=sum(p.numel() for p in net.parameters()),
        licence=recipe.licence,
        sha256=weights_sha256(weights),
        data=union(*(other["data"] for other in checkpoints)),
        metrics=_scores(metrics),
        versions={
            "torch": str(torch.__version__),
            "rtdenoise": __version__,
            "python": platform.python_version(),
        },
        config={
            **recipe.as_dict()["net"],
            "recipe": recipe.as_dict(),
            "ancestors": saved["ancestors"],
            "caches": sorted({d for other in checkpoints for d in other.get("caches", [])}),
            "changes": [change for other in checkpoints for change in other.get("changes", [])],
            "steps": sum(other["step"] for other in checkpoints),
            "training_minutes": round(sum(other["spent_s"] for other in checkpoints) / 60, 1),
            "runs": len(checkpoints),
        },
        description=recipe.description,
    )
    write(net, card, out)
    return Card.from_json(card.to_json())  # as in the file: JSON has lists instead of tuples


def _checkpoint(run: Path) -> dict[str, Any]:
    if not (run / CHECKPOINT).is_file():
        raise ArgumentError(f"there is no {CHECKPOINT} in {run}", "run")
    return read(run / CHECKPOINT)


def _check_heard(run: Path, saved: dict[str, Any], net: Trainable) -> None:
    """Check that a run has heard sound at the rate of its net.

    Raises:
        ModelError: it has heard another rate, or nothing above a quarter of the rate.
    """
    if not saved.get("caches"):
        if saved["step"]:
            say_unknown(run / CHECKPOINT)
        return
    rate_hz, reach_hz = saved["rate_hz"], saved["reach_hz"]
    if rate_hz != net.rate_hz or 0 < reach_hz <= rate_hz / 4:
        raise ModelError(
            f"{run} has heard sound at {rate_hz} Hz that reaches up to {reach_hz:.0f} Hz: a model "
            f"at {net.rate_hz} Hz would say that it knows more. Train at the rate of the data"
        )


def _scores(metrics: Path | None) -> dict[str, Any]:
    """Read the scores for a card; each has the value of the identity.

    Raises:
        UsageError: the file cannot be read, or a value is missing.
    """
    if not metrics:
        return {}
    try:
        scores = dict(json.loads(metrics.read_text()))
        bare = [name for name, values in scores.items() if "identity" not in values]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{metrics} holds no scores: {error}") from None
    if bare:
        raise UsageError(f"{metrics}: {', '.join(bare)} has no 'identity' value beside it")
    return scores


def _mean(values: list[Tensor]) -> Tensor:
    """Average the values of one parameter; integers (counters of batch norms) are the first's."""
    return torch.stack(values).mean(0) if values[0].is_floating_point() else values[0]


def write(net: Trainable, card: Card, out: Path) -> None:
    """Script *net*, check it, and write it with its card to *out*.

    Raises:
        ModelError: the scripted net differs from the eager one, T windows in one call differ from T
            calls, the card has a gap or another rate than the net, or the host refuses to load the
            file.
    """
    if card.sample_rate != net.rate_hz:
        raise ModelError(
            f"the card of {card.name!r} says {card.sample_rate} Hz, but its net is for "
            f"{net.rate_hz} Hz"
        )
    if missing := [name for name in ("data", "config", "versions") if not getattr(card, name)]:
        raise ModelError(f"the card of {card.name!r} lacks {', '.join(missing)}")
    net.eval()
    fresh = out.with_name(out.name + ".new")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
            scripted: Any = torch.jit.script(net)
            _check(net, scripted, card)
            torch.jit.save(scripted, str(fresh), _extra_files={EXTRA_FILE: card.to_json()})
        generator.load(fresh)
        os.replace(fresh, out)  # noqa: PTH105 - atomic on every system
    finally:
        fresh.unlink(missing_ok=True)


def _check(net: Trainable, scripted: Any, card: Card) -> None:
    """Compare three ways to run the net on the same noise: eager, scripted, window by window."""
    torch.manual_seed(0)
    # The windows overlap as the host cuts them from a stream, because nets may rely on that.
    count = 30 if card.window <= 4096 else 4
    stream = 0.1 * torch.randn(2, card.hop * (count + 1))
    windows = stream.unfold(1, card.window, card.hop).contiguous()
    with torch.inference_mode():
        eager = run_whole(net, net.initial_state, windows)
        whole = run_whole(scripted, scripted.initial_state, windows)
        streamed = run_streamed(scripted, scripted.initial_state, windows)
    for name, other in (("scripted != eager", eager), ("streamed != whole", streamed)):
        off = float((whole - other).abs().max())
        if not off <= TOLERANCE:
            raise ModelError(f"{card.name!r}: {name}, by {off:.2g} (at most {TOLERANCE:g})")


Net = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def run_whole(net: Net, initial_state: Callable[[int], Tensor], windows: Tensor) -> Tensor:
    """Run the net on all windows in one call."""
    return net(windows, initial_state(windows.shape[0]))[0]


def run_streamed(net: Net, initial_state: Callable[[int], Tensor], windows: Tensor) -> Tensor:
    """Run the net with one window a call, as in a stream."""
    state, parts = initial_state(windows.shape[0]), []
    for t in range(windows.shape[1]):
        part, state = net(windows[:, t : t + 1], state)
        parts.append(part)
    return torch.cat(parts, 1)
