"""DNSMOS P.835: how good a voice sounds to people, guessed by a net that needs no reference.

This is the door to speechmos, whose package holds the net of Reddy et al. (2022), and to the
runtime that runs it. Neither is needed for anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

RATE_HZ, WINDOW_S = 16_000, 9.01
# The polynomials of the net's raw outputs, from microsoft/DNS-Challenge and speechmos.
DNSMOS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
PACKAGES = ("onnxruntime", "speechmos")
MISSING = (
    "DNSMOS needs the packages onnxruntime and speechmos: pip install 'rtdenoise[eval]' (from a "
    "checkout: pip install '.[eval]'), or pip install onnxruntime speechmos"
)


def installed() -> bool:
    """Return whether `dnsmos` can be called."""
    return all(find_spec(package) for package in PACKAGES)


def dnsmos(voice: NDArray[np.floating]) -> dict[str, float]:
    """Return the means of DNSMOS over windows of 9.01 s; a shorter sound is repeated.

    speechmos' own code also imports librosa for P.808, which is not computed here.

    Args:
        voice: The sound (samples,) at 16 kHz.

    Returns:
        The quality of the voice, the background and both, 1 to 5; NaN if there is no sample.

    Raises:
        UsageError: If a package is missing; the message says how to install it.
    """
    x = np.clip(voice, -1, 1).astype(np.float32)
    size = int(WINDOW_S * RATE_HZ)
    if not len(x):
        return dict.fromkeys(DNSMOS, np.nan)
    while len(x) < size:
        x = np.append(x, x)
    count = int(len(x) // RATE_HZ - WINDOW_S) + 1
    starts = [at * RATE_HZ for at in range(count) if at * RATE_HZ + size <= len(x)]
    raw = np.array([_net()(x[at : at + size]) for at in starts])
    return {
        name: float(np.polyval(poly, raw[:, column]).mean())
        for column, (name, poly) in enumerate(DNSMOS.items())
    }


@cache
def _net() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the net as a function of a window."""
    if not installed():
        raise UsageError(MISSING)
    import onnxruntime

    package = find_spec("speechmos")
    folder = Path(next(iter(package.submodule_search_locations or ()))) if package else Path()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "dnsmos_models/sig_bak_ovr.onnx"), options)

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"input_1": x[None]})[0][0], np.float32)

    return run
