"""Results of a listening test: means, intervals, and listeners who missed the hidden reference."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtdenoise.errors import UsageError
from rtdenoise.sound.pending import Pending

from ..evaluate.tables import markdown
from .stimuli import REFERENCE
from .store import connected

RESAMPLES = 2000


@dataclass(frozen=True)
class Rating:
    """A listener's rating of one system on one item.

    Attributes:
        listener: Identifier of the listener's session.
        item: Name of the file.
        system: Name of the system.
        value: Rating, 0..100 (MUSHRA) or 1..5 (ACR).
        plays: How often the listener played the stimulus.
    """

    listener: str
    item: str
    system: str
    value: float
    plays: int


def read(path: Path) -> tuple[str, list[str], list[Rating]]:
    """Read method, systems and ratings from a data base.

    Raises:
        UsageError: the file does not exist, or is not of a listening test.
    """
    if not path.is_file():
        raise UsageError(f"there are no ratings in {path}")
    with connected(path) as db:
        method, systems = db.execute("SELECT method, systems FROM test").fetchone()
        rows = db.execute(
            "SELECT session, item, system, value, plays FROM ratings JOIN stimuli USING (token) "
            "ORDER BY session, page, place"
        ).fetchall()
    return method, json.loads(systems), [Rating(*row) for row in rows]


def failed(ratings: Sequence[Rating], method: str) -> dict[str, str]:
    """Find the listeners to leave out, and why.

    * In MUSHRA they rate the hidden reference below 90 on more than 15 % of the items (ITU-R
      BS.1534-3).
    * ITU-T P.800 has no such rule for ACR; here they rate the reference below the mean of the rest.
    """
    reasons = {}
    for listener in dict.fromkeys(r.listener for r in ratings):
        mine = [r for r in ratings if r.listener == listener]
        hidden = [r.value for r in mine if r.system == REFERENCE]
        others = [r.value for r in mine if r.system != REFERENCE]
        if not hidden:
            continue
        if method == "mushra":
            missed = sum(value < 90 for value in hidden)
            if missed > 0.15 * len(hidden):
                reasons[listener] = f"hidden reference below 90 on {missed} of {len(hidden)} items"
        elif others and np.mean(hidden) < np.mean(others):
            reasons[listener] = (
                f"hidden reference {np.mean(hidden):.2f}, all others {np.mean(others):.2f}"
            )
    return reasons


def table_of(ratings: Sequence[Rating], system: str) -> NDArray[np.float64]:
    """Arrange the ratings of one system as (listeners, items); NaN where there is none."""
    listeners = {name: row for row, name in enumerate(dict.fromkeys(r.listener for r in ratings))}
    items = {name: column for column, name in enumerate(dict.fromkeys(r.item for r in ratings))}
    out = np.full((len(listeners), len(items)), np.nan)
    for r in ratings:
        if r.system == system:
            out[listeners[r.listener], items[r.item]] = r.value
    return out


def interval(rated: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean; listeners and items are both resampled.

    A t interval over all ratings would count eight ratings of one listener as eight listeners.
    """
    if np.isfinite(rated).sum() < 2:
        return np.nan, np.nan
    rng, (rows, columns) = np.random.default_rng(seed), rated.shape
    means = []
    for _ in range(RESAMPLES):
        drawn = rated[rng.integers(rows, size=rows)][:, rng.integers(columns, size=columns)]
        if np.isfinite(drawn).any():
            means.append(np.nanmean(drawn))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def summary(ratings: Sequence[Rating], systems: Sequence[str], method: str) -> str:
    """Tabulate mean and interval of each system, best first."""
    rows = []
    for system in systems:
        rated = table_of(ratings, system)
        count = int(np.isfinite(rated).sum())
        mean = float(np.nanmean(rated)) if count else np.nan
        low, high = interval(rated)
        digits = 2 if method == "acr" else 1
        ends = "" if np.isnan(low) else f"[{low:.{digits}f}, {high:.{digits}f}]"
        rows.append((mean, [system, f"{mean:.{digits}f}", ends, str(count)]))
    rows.sort(key=lambda row: -np.nan_to_num(row[0], nan=-1))
    name = "MOS" if method == "acr" else "MUSHRA"
    return markdown(["system", name, "95 %", "ratings"], [cells for _, cells in rows])


def report(path: Path, to: Path | None = None) -> str:
    """Describe the results of a test as text, and write the ratings as CSV to *to*.

    Raises:
        UsageError: the file is not of a listening test, or nobody has rated anything yet.
    """
    method, systems, ratings = read(path)
    if to:
        write_csv(ratings, to)
    if not ratings:
        raise UsageError(f"{path}: nobody has rated anything yet")
    out: Mapping[str, str] = failed(ratings, method)
    listeners = len({r.listener for r in ratings})
    parts = [
        f"{listeners} listeners, {len(ratings)} ratings; 95 % intervals: bootstrap over listeners "
        "and items.",
        summary(ratings, systems, method),
    ]
    if out:
        kept = [r for r in ratings if r.listener not in out]
        parts += [
            "Listeners who failed the hidden reference:\n"
            + "\n".join(f"  {listener[:8]}: {why}" for listener, why in out.items()),
            f"Without them ({listeners - len(out)} listeners):",
            summary(kept, systems, method) if kept else "no listener is left",
        ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def write_csv(ratings: Sequence[Rating], to: Path) -> None:
    """Write a CSV file with a row for each rating."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["listener", "item", "system", "value", "plays"])
    writer.writerows([r.listener, r.item, r.system, r.value, r.plays] for r in ratings)
    with Pending(to, overwrite=True) as pending:
        pending.path.write_text(text.getvalue())
