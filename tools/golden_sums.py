"""Print SHA-256 sums of the host's outputs for fixed inputs, to see whether a change altered them.

    python tools/golden_sums.py > before.txt        # on the commit before
    python tools/golden_sums.py | diff before.txt - # on the commit after, on the same machine

There is a line for each input of `file`, `live --clock fast` and boards, over rates, channels,
mixes and block sizes. The sums depend on the machine and its versions of torch and BLAS, so the
repository has none.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise import Board, Denoise, Mix
from rtdenoise.cli import main as rtdenoise

FILES = [  # rate, channels, subtype, options
    (48_000, 1, "FLOAT", []),
    (48_000, 2, "PCM_16", ["--mix", "70"]),
    (44_100, 2, "PCM_24", []),
    (44_100, 1, "FLOAT", ["--atten-lim", "12"]),
    (16_000, 1, "PCM_16", ["--residual"]),
    (8_000, 3, "FLOAT", ["--mix", "50", "--atten-lim", "20"]),
    (22_050, 2, "FLOAT", ["--mix", "0"]),
    (96_000, 1, "FLOAT", ["--residual", "--atten-lim", "6"]),
]
LIVE = [  # rate, channels, options
    (48_000, 1, []),
    (48_000, 2, ["--block", "480"]),
    (48_000, 1, ["--block", "333", "--mix", "60"]),
    (44_100, 1, []),
    (44_100, 2, ["--block", "128", "--residual"]),
    (16_000, 1, ["--atten-lim", "15"]),
]
BOARD = """
[[effect]]
type = "HighpassFilter"
cutoff_frequency_hz = 80
[[effect]]
type = "Denoise"
atten_lim_db = 24
[[effect]]
type = "Mix"
[[effect.effect]]
type = "Gain"
gain_db = -6
[[effect.effect]]
type = "Reverb"
room_size = 0.2
"""


def noisy(rate: int, channels: int, seed: int, seconds: float = 1.7) -> np.ndarray:
    """Make swelling harmonics in noise with a silent stretch, (channels, samples) float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(rate * seconds)) / rate
    tone = sum(np.sin(2 * np.pi * 130 * k * t + k) / k for k in range(1, 20))
    rows = [
        0.1 * tone * np.clip(np.sin(2 * np.pi * 2.3 * t + c), 0, None)
        + 0.03 * rng.standard_normal(len(t))
        for c in range(channels)
    ]
    audio = np.asarray(np.stack(rows), np.float32)
    audio[:, len(t) // 2 : len(t) // 2 + rate // 10] = 0
    return audio


def digest(audio: np.ndarray) -> str:
    """Return the hash of shape and samples."""
    content = f"{audio.shape}".encode() + np.ascontiguousarray(audio).tobytes()
    return hashlib.sha256(content).hexdigest()[:24]


def of_files(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield outputs of `rtdenoise file` and `rtdenoise live`, with a model or a board."""
    board = folder / "board.toml"
    board.write_text(BOARD)
    runs = [("file", *case) for case in FILES]
    runs += [("live", rate, channels, "FLOAT", options) for rate, channels, options in LIVE]
    runs += [(verb, 44_100, 2, "FLOAT", ["--board", str(board)]) for verb in ("file", "live")]
    for number, (verb, rate, channels, subtype, options) in enumerate(runs):
        source, target = folder / f"{number}.wav", folder / f"{number}.out.wav"
        soundfile.write(source, noisy(rate, channels, number).T, rate, subtype)
        ends = [str(source), "-o", str(target)]
        if verb == "live":
            ends = ["--in", f"file:{source}", "--out", f"file:{target}", "--clock", "fast"]
        if code := rtdenoise([verb, *ends, *options, "-q"]):
            sys.exit(f"{verb} {options} ended with {code}")
        shown = [Path(option).name for option in options]
        yield f"{verb} {rate} {channels} {' '.join(shown)}", soundfile.read(target)[0]


def of_boards() -> Iterator[tuple[str, np.ndarray]]:
    """Yield outputs of boards, for whole arrays and block by block."""
    from pedalboard import Compressor, Gain, HighpassFilter, Limiter

    chain = Board([HighpassFilter(90), Denoise(atten_lim_db=30), Compressor(-20), Limiter()])
    nested = Board([Mix([Denoise(mix=80), Gain(-3)]), None, Board([Gain(2), Denoise()])])
    for name, board in (("chain", chain), ("nested", nested)):
        for rate, channels in ((48_000, 1), (44_100, 2)):
            audio = noisy(rate, channels, rate)
            yield f"board {name} {rate} {channels} whole", board(audio, rate)
            for block in (441, 4096):
                board.reset()
                parts = [
                    board(audio[:, at : at + block], rate, reset=False)
                    for at in range(0, audio.shape[1], block)
                ]
                label = f"board {name} {rate} {channels} blocks of {block}"
                yield label, np.concatenate(parts, axis=1)
            board.reset()


def main() -> None:
    """Print a line for each output."""
    with tempfile.TemporaryDirectory() as folder:
        for sums in (of_files(Path(folder)), of_boards()):
            for label, audio in sums:
                print(digest(audio), label, flush=True)


if __name__ == "__main__":
    main()
