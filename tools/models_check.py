"""Check that the models of the box keep what they should keep: each recording has a floor.

    python tools/models_check.py                     all of them, a minute each; 1 if one fails
    python tools/models_check.py -m speech           one of them
    python tools/models_check.py -m my.pt --like speech

The recordings are made of those in examples/audio: voices that are quiet, loud, whispered or drawn
out, two at once, the first sound of a file, nearly clean ones, hum, a DC offset, half an hour. The
floors are what the models reached, less a margin of 0.5 dB: they guard against a model that is
better on average and eats something that the one before it kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from rtdenoise import Denoise
from rtdenoise.files.scores import score
from rtdenoise.nets import box
from rtdenoise.sound.reader import SoundReader

CLIPS = Path(__file__).parents[1] / "examples" / "audio"
RATE = 48_000
Run = Callable[[np.ndarray], np.ndarray]


def clip(name: str) -> np.ndarray:
    """Return the first channel of a clip, (n,)."""
    with SoundReader(CLIPS / name) as sound:
        return np.concatenate([block[0] for block in sound])


def rng() -> np.random.Generator:
    """Return the random numbers of all checks."""
    return np.random.default_rng(7)


def hiss(count: int, level_db: float) -> np.ndarray:
    """Return pink noise with an RMS level in dBFS."""
    shape = np.fft.rfft(rng().standard_normal(count)) / np.sqrt(1 + np.arange(count // 2 + 1))
    noise = np.fft.irfft(shape, count)
    return (noise / noise.std() * 10 ** (level_db / 20)).astype(np.float32)


def at(sound: np.ndarray, peak_db: float) -> np.ndarray:
    """Return *sound* with a peak in dBFS."""
    return (sound / np.abs(sound).max() * 10 ** (peak_db / 20)).astype(np.float32)


def si_sdr_db(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Return the SI-SDR in dB."""
    return score(estimate[None], reference[None])["SI-SDR dB"]


def kept_db(out: np.ndarray, sound: np.ndarray) -> float:
    """Return the gain in dB of what of *sound* is in *out*, by projection."""
    share = float(out @ sound / (sound @ sound))
    return 20 * np.log10(max(share, 1e-6))


def whispered(sound: np.ndarray, order: int = 40, hop: int = 480) -> np.ndarray:
    """Return a voice whose source is noise: linear prediction of 20 ms frames, excited by noise."""
    out, window = np.zeros_like(sound), np.hanning(2 * hop).astype(np.float32)
    noise = rng().standard_normal(len(sound)).astype(np.float32)
    for start in range(0, len(sound) - 2 * hop, hop):
        frame = sound[start : start + 2 * hop] * window
        auto = np.correlate(frame, frame, "full")[2 * hop - 1 : 2 * hop + order]
        if auto[0] < 1e-6:
            continue
        auto[0] *= 1.0001
        filter_ = np.concatenate([[1.0], -solve_toeplitz(auto[:-1], auto[1:])])
        made = lfilter([1.0], filter_, noise[start : start + 2 * hop]) * window
        out[start : start + 2 * hop] += made * np.sqrt(auto[0] / (made @ made + 1e-12))
    return out


def nearly_clean(run: Run) -> float:
    """SI-SDR of a voice with a hiss 40 dB below it, which should pass as it is."""
    voice = at(clip("clean.flac"), -6)
    return si_sdr_db(run(voice + hiss(len(voice), 20 * np.log10(voice.std()) - 40)), voice)


def noisy(run: Run) -> float:
    """SI-SDR gained on the noisy recording of the demo."""
    voice, mixed = clip("clean.flac"), clip("noisy.flac")
    return si_sdr_db(run(mixed), voice) - si_sdr_db(mixed, voice)


def level(peak_db: float) -> Callable[[Run], float]:
    """Return the check of a voice with a peak in dBFS, 40 dB above a hiss: gain in dB."""

    def check(run: Run) -> float:
        voice = at(clip("voice_sentence.flac"), peak_db)
        return kept_db(run(voice + hiss(len(voice), peak_db - 60)), voice)

    check.__doc__ = f"Gain of a voice with a peak of {peak_db:g} dBFS, far above its hiss."
    return check


def first_sound(run: Run) -> float:
    """Gain of the first 150 ms of a voice that begins with the file."""
    voice = at(clip("voice_words.flac"), -6)
    voice = voice[np.flatnonzero(np.abs(voice) > 0.02)[0] :]
    head = slice(0, round(0.15 * RATE))
    return kept_db(run(voice + hiss(len(voice), -70))[head], voice[head])


def audible(sound: np.ndarray) -> np.ndarray:
    """Return what of *sound* is above 40 Hz: voice_sentence ends with a thump below 20 Hz."""
    spectrum = np.fft.rfft(sound)
    spectrum[: round(40 * len(sound) / RATE)] = 0
    return np.fft.irfft(spectrum, len(sound)).astype(np.float32)


def two_voices(run: Run) -> float:
    """SI-SDR of two voices at once, which both stay, above 40 Hz."""
    one, other = clip("voice_sentence.flac"), clip("voice_words.flac")
    count = min(len(one), len(other))
    both = at(at(one[:count], -6) + at(other[:count], -9), -6)
    return si_sdr_db(audible(run(both + hiss(count, -70))), audible(both))


def whisper(run: Run) -> float:
    """Gain of a whispered sentence, 30 dB above its hiss."""
    voice = at(whispered(clip("voice_sentence.flac")), -12)
    return kept_db(run(voice + hiss(len(voice), 20 * np.log10(voice.std()) - 30)), voice)


def drawn_out(run: Run) -> float:
    """Gain of a voice at a third of its speed, as long vowels of song are."""
    from pedalboard import time_stretch

    voice = at(time_stretch(clip("voice_sentence.flac")[None], RATE, 1 / 3)[0], -6)
    return kept_db(run(voice + hiss(len(voice), -70)), voice)


def offset(run: Run) -> float:
    """SI-SDR gained with a DC offset of 0.1, less that without it."""
    voice, mixed = clip("clean.flac"), clip("noisy.flac")
    out = run(mixed + np.float32(0.1))
    return si_sdr_db(out - out.mean(), voice) - si_sdr_db(run(mixed), voice)


def hum(run: Run) -> float:
    """SI-SDR gained on a voice in mains hum: 50 Hz and 19 harmonics."""
    voice = at(clip("clean.flac"), -6)
    time_s = np.arange(len(voice)) / RATE
    parts = (np.sin(2 * np.pi * 50 * k * time_s + k) / k for k in range(1, 21))
    mains = sum(parts) * 10 ** (-26 / 20)
    mixed = (voice + mains).astype(np.float32)
    return si_sdr_db(run(mixed), voice) - si_sdr_db(mixed, voice)


def silence(run: Run) -> float:
    """Level of the output for digital silence, below which there is nothing: 0 is none at all."""
    return -float(np.abs(run(np.zeros(2 * RATE, np.float32))).max())


def minute_30(run: Run) -> float:
    """SI-SDR of the last of many repetitions over half an hour, less that of the second."""
    voice, mixed = clip("clean.flac"), clip("noisy.flac")
    times = 1800 * RATE // len(mixed)
    out = run(np.tile(mixed, times))
    ends = [out[n * len(mixed) :][: len(mixed)] for n in (1, times - 1)]
    return si_sdr_db(ends[1], voice) - si_sdr_db(ends[0], voice)


def clean_music(run: Run) -> float:
    """SI-SDR of a clean piano, which should pass as it is."""
    piano = at(clip("piano.flac"), -6)
    return si_sdr_db(run(piano), piano)


def hissing_music(run: Run) -> float:
    """SI-SDR gained on a piano with hiss 15 dB below it."""
    piano = at(clip("piano.flac"), -6)
    mixed = piano + hiss(len(piano), 20 * np.log10(piano.std()) - 15)
    return si_sdr_db(run(mixed), piano) - si_sdr_db(mixed, piano)


def low_band(name: str) -> Callable[[Run], float]:
    """SI-SDR below 3.5 kHz of a clip that ends at 4 kHz: what is there stays untouched."""

    def check(run: Run) -> float:
        import soxr

        narrow = soxr.resample(soxr.resample(clip(name), RATE, 8000), 8000, RATE)
        out = run(narrow.astype(np.float32))
        below = [soxr.resample(x[: len(narrow)], RATE, 7000) for x in (out, narrow)]
        return si_sdr_db(below[0], below[1])

    return check


def upper_band(name: str) -> Callable[[Run], float]:
    """Fall of the LSD on a clip that ends at 8 kHz."""

    def check(run: Run) -> float:
        import soxr

        wide = clip(name)
        narrow = soxr.resample(soxr.resample(wide, RATE, 16_000), 16_000, RATE).astype(np.float32)
        before, after = (score(x[None], wide[None])["LSD"] for x in (narrow, run(narrow)))
        return before - after

    return check


VOICE = {
    "noisy": noisy, "nearly clean": nearly_clean, "0 dBFS": level(0), "-60 dBFS": level(-60),
    "-80 dBFS": level(-80), "first sound": first_sound, "two voices": two_voices,
    "whisper": whisper, "drawn out": drawn_out, "DC offset": offset, "hum": hum,
    "silence": silence, "minute 30": minute_30,
}  # fmt: skip
MUSIC = {
    "clean music": clean_music, "hissing music": hissing_music, "silence": silence,
}  # fmt: skip


def wider(name: str) -> dict[str, Callable[[Run], float]]:
    """Return the checks of a model that adds an upper band, on a clip of its kind."""
    return {"low band": low_band(name), "upper band": upper_band(name), "silence": silence}


FLOORS: dict[str, dict[str, float]] = {
    "speech": {
        "noisy": 7.4,
        "nearly clean": 39.3,
        "0 dBFS": -0.5,
        "-60 dBFS": -0.6,
        "-80 dBFS": -0.8,
        "first sound": -0.6,
        "two voices": 38.3,
        "whisper": -0.6,
        "drawn out": -0.6,
        "DC offset": -0.6,
        "hum": 12.7,
        "silence": 0.0,
        "minute 30": -0.5,
    },
    "speech-small": {
        "noisy": 7.0,
        "nearly clean": 39.9,
        "0 dBFS": -0.5,
        "-60 dBFS": -0.6,
        "-80 dBFS": -0.9,
        "first sound": -0.6,
        "two voices": 32.8,
        "whisper": -0.8,
        "drawn out": -0.6,
        "DC offset": -0.6,
        "hum": 12.1,
        "silence": 0.0,
        "minute 30": -0.5,
    },
    "speech-dereverb": {
        "noisy": 7.0,
        "nearly clean": 37.5,
        "0 dBFS": -0.6,
        "-60 dBFS": -0.7,
        "-80 dBFS": -1.1,
        "first sound": -2.3,
        "two voices": 28.7,
        "whisper": -1.4,
        "drawn out": -0.6,
        "DC offset": -0.7,
        "hum": 11.5,
        "silence": 0.0,
        "minute 30": -0.5,
    },
    "speech-superres": {"low band": 64.7, "upper band": 0.8, "silence": 0.0},
    "music-superres": {"low band": 56.7, "upper band": 0.1, "silence": 0.0},
    "music": {"clean music": 54.9, "hissing music": 2.8, "silence": 0.0},
}


def checks_of(name: str) -> dict[str, Callable[[Run], float]]:
    """Return the checks for a model, by its task or else by its kind."""
    card = box.card(name)
    if card.task == "superres":
        return wider("piano.flac" if card.kind == "music" else "clean.flac")
    return MUSIC if card.kind == "music" else VOICE


def main() -> int:
    """Print a row for each check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-m", "--model", action="append", help="names or files; default: the box")
    parser.add_argument("--like", help="model whose floors hold for those that have none")
    args = parser.parse_args()
    failed = 0
    print(f"{'model':<18}{'recording':<16}{'got':>8}{'floor':>8}")
    for name in args.model or [m for m in box.models() if m in FLOORS]:
        effect = Denoise(name)
        floors = FLOORS.get(name) or FLOORS.get(args.like or "", {})
        for check, measure in checks_of(name).items():
            got = measure(lambda sound, effect=effect: effect(sound[None], RATE)[0])
            floor = floors.get(check, float("-inf"))
            low = bool(got < floor)
            failed += low
            print(f"{name:<18}{check:<16}{got:>8.2f}{floor:>8.2f}{'  FAILED' * low}")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
