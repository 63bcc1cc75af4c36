"""Scores of the ready boards before and after, as the tables of docs/boards.md.

    python tools/boards.py                     the clips in examples/audio
    python tools/boards.py talk.wav music.wav  recordings of yours, which are taken for speech

A clip is played again and again until it lasts 24 s, and the last 9 s are measured, when the
auto-level has settled. The floor is the level of the softest tenth of all frames of 50 ms. Tapes
are made of clean clips, with a second of silence after each, by the language of `rtdenoise
degrade`; after the board, SI-SDR is against the clean clip after the same board, because filters
shift phases, which SI-SDR takes for noise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile as sf
import soxr

from rtdenoise.chain.boardfile import open_board
from rtdenoise.core.counters import Counters
from rtdenoise.core.loudness import integrated
from rtdenoise.core.stream import Stream
from rtdenoise.degrade import parse
from rtdenoise.files.scores import score
from rtdenoise.proof.quality import dnsmos

HERE = Path(__file__).parents[1]
CLIPS, BOARDS = HERE / "examples" / "audio", HERE / "examples" / "boards"
VOICES = ("noisy.flac", "noisy_stereo_44k.flac", "noisy_16k.wav")
TAPE = "noise white snr=25 | hum 50 -25 | gain -8"
PLAYED_S, HEARD_S, GAP_S = 24, 9, 1


def played(path, gap_s=0.0):
    """Return a clip (channels, samples) that lasts `PLAYED_S`, and its rate."""
    audio, rate = sf.read(path, dtype="float32", always_2d=True)
    audio = np.pad(audio.T, ((0, 0), (0, round(gap_s * rate))))
    count = -(-PLAYED_S * rate // audio.shape[1])
    return np.ascontiguousarray(np.tile(audio, count)[:, : PLAYED_S * rate]), rate


def through(board, audio, rate):
    """Return *audio* after a board."""
    stream = Stream(rate, audio.shape[0])
    return np.concatenate(list(board.render([audio], stream, Counters())), axis=1)


def floor_db(audio, rate):
    """Return the level of the softest tenth of all frames of 50 ms."""
    size = round(0.05 * rate)
    frames = audio[:, : audio.shape[1] // size * size].reshape(len(audio), -1, size)
    power = (frames**2).mean((0, 2))
    return 10 * np.log10(np.sort(power)[: max(1, len(power) // 10)].mean() + 1e-12)


def facts(audio, rate):
    """Return what is measured of the last part of *audio*."""
    part = np.ascontiguousarray(audio[:, -HEARD_S * rate :])
    meter = pyloudnorm.Meter(rate)
    return {
        "LUFS": f"{integrated(part, rate):.1f}",
        "range LU": f"{meter.loudness_range(audio[:, -2 * HEARD_S * rate :].T.astype(float)):.1f}",
        "peak dBFS": f"{20 * np.log10(np.abs(part).max() + 1e-12):.1f}",
        "floor dBFS": f"{floor_db(part, rate):.0f}",
    }


def ovrl(audio, rate):
    """Return DNSMOS OVRL of the last part of *audio* at -23 LUFS, so that no level wins."""
    part = np.ascontiguousarray(audio[:, -HEARD_S * rate :])
    level = part * 10 ** ((-23 - integrated(part, rate)) / 20)
    return np.mean([dnsmos(soxr.resample(row, rate, 16_000))["ovrl"] for row in level])


def rows_of(name, clip, audio, rate, more):
    """Yield a row before and a row after the board, with *more* (audio, rate) -> dict."""
    board = open_board(BOARDS / f"{name}.toml")
    out = through(board, audio, rate)
    delay = f"{1e3 * board.latency(rate) / rate:.0f}"
    for what, sound in (("before", audio), ("after", out)):
        row = {"board": name, "clip": clip, "": what, **facts(sound, rate), **more(sound, rate)}
        yield row | {"delay ms": delay if what == "after" else ""}


def table(rows):
    """Print *rows* as a Markdown table."""
    rows = list(rows)
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |", flush=True)
    print()


def main(paths):
    """Print both tables."""
    voices = [Path(path) for path in paths] or [CLIPS / name for name in VOICES]
    table(
        row
        for name in ("call", "podcast", "stream", "field-recording")
        for path in voices
        for row in rows_of(
            name, path.name, *played(path), lambda x, r: {"DNSMOS OVRL": f"{ovrl(x, r):.2f}"}
        )
    )
    if paths:
        return
    chain, tapes = parse(TAPE), []
    for clip in ("piano.flac", "voice_sentence.flac"):
        clean, rate = played(CLIPS / clip, GAP_S)
        tape = chain(clean, rate, np.random.default_rng(0)).audio.astype(np.float32)
        ideal = through(open_board(BOARDS / "old-tape.toml"), clean, rate)

        def si_sdr(sound, rate, tape=tape, clean=clean, ideal=ideal):
            parts = (sound, clean if sound is tape else ideal)
            parts = (np.ascontiguousarray(x[:, -HEARD_S * rate :]) for x in parts)
            return {"SI-SDR dB": f"{score(*parts)['SI-SDR dB']:.1f}"}

        tapes += rows_of("old-tape", clip, tape, rate, si_sdr)
    table(tapes)


if __name__ == "__main__":
    main(sys.argv[1:])
