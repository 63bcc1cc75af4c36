"""Sound cards without a sound card, for the real PortAudio.

`AlsaCard` is ALSA's `file` plugin over `null`: not paced, deterministic, sample-exact, no daemon.
tests/test_jack.py has the paced one.
"""

from __future__ import annotations

import ctypes.util
import os
from pathlib import Path

import numpy as np
import pytest

ALSA_PLUGINS = Path("/usr/share/alsa/alsa.conf")


def needs_portaudio() -> None:
    """Skip, visibly, where PortAudio or ALSA is not installed."""
    if ctypes.util.find_library("portaudio") is None or not ALSA_PLUGINS.is_file():
        pytest.skip("needs PortAudio and ALSA: apt install libportaudio2 libasound2-plugins")


class AlsaCard:
    """Devices `mic`, which plays *audio* again and again, and `speakers`, which remembers.

    Args:
        folder: Where its files go.
        audio: (channels, samples) float32, for whatever rate the stream has.
    """

    def __init__(self, folder: Path, audio: np.ndarray) -> None:
        self.folder, self.channels = folder, audio.shape[0]
        np.ascontiguousarray(audio.T, np.float32).tofile(folder / "in.raw")
        (folder / "alsa.conf").write_text(
            f"""
            <{ALSA_PLUGINS}>
            pcm.mic {{
                type file slave.pcm "null" file "/dev/null" infile "{folder}/in.raw" format raw
                hint {{ show on description "mic" }}
            }}
            pcm.speakers {{
                type file slave.pcm "null" file "{folder}/out.raw" format raw
                hint {{ show on description "speakers" }}
            }}
            """
        )

    @property
    def environment(self) -> dict[str, str]:
        """For a process that is to see this card and no other."""
        return {**os.environ, "ALSA_CONFIG_PATH": str(self.folder / "alsa.conf")}

    def heard(self, channels: int) -> np.ndarray:
        """What came out of the speakers (channels, samples), after the stream was closed."""
        return np.fromfile(self.folder / "out.raw", np.float32).reshape(-1, channels).T
