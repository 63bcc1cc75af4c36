"""A run's settings: frozen dataclasses, filled from a TOML recipe and `--set a.b=c`.

An unknown key is an error: a misspelt one would silently mean its default.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from rtdenoise.errors import UsageError


@dataclass(frozen=True)
class Data:
    """Which recordings train, and which never do.

    Attributes:
        dev_share: Share of sources (speakers, noise recordings) kept for development.
        test_share: The same for a third side, which nothing looks at before the last evaluation.
        held_out_sources: source_ids never trained on whatever the share says (the demo's voices).
        held_out_origins: Origins never trained on (the demo's noises).
        length_power: A recording is drawn with its length to this power; 1 lets one long talker
            outweigh a hundred short ones, 0 repeats three seconds as often as ten minutes.
        narrow_weight: Weight of speech whose band ends below 8 kHz.
        seconds: Length of a training excerpt.
        margin_s: Degraded on either side of an excerpt of waveforms and cut off again, so that it
            begins in the middle of a room's echoes and a filter's ringing, as windows do.
        rate_hz: Of the cache and of the net.
    """

    dev_share: float = 0.06
    test_share: float = 0.0
    held_out_sources: tuple[str, ...] = ()
    held_out_origins: tuple[str, ...] = ()
    length_power: float = 0.7
    narrow_weight: float = 0.5
    seconds: float = 2.5
    margin_s: float = 0.0
    rate_hz: int = 48_000


@dataclass(frozen=True)
class Degrade:
    """What is done to the recordings; ranges are (low, high).

    Attributes:
        snr_db: Centres of the mixing SNR; each is jittered by +-2.5 dB.
        snr_share: How often each centre is drawn.
        level_db: RMS level of the speech re full scale.
        speech_eq_db: Random equaliser of the voice, +- dB.
        noise_eq_db: The same of the noise.
        reverb_share: Share of voices in a room; the target keeps its first 20 ms, fades the rest.
        t60_s: Reverberation time.
        drr_db: Energy of the room re the direct sound.
        coloured_share: Share of noises that are synthetic, 1/f^0..1.2 in power.
        music_share: Share of noises that are music.
        second_noise_share: Share of mixtures with two noises.
        band_limit_share: Share of mixtures low-passed (input and target), as from a narrow device.
        band_limit_hz: The cut-offs.
    """

    snr_db: tuple[float, ...] = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0)
    snr_share: tuple[float, ...] = (0.08, 0.15, 0.2, 0.2, 0.14, 0.1, 0.06, 0.07)
    level_db: tuple[float, float] = (-40.0, -12.0)
    speech_eq_db: float = 5.0
    noise_eq_db: float = 10.0
    reverb_share: float = 0.33
    t60_s: tuple[float, float] = (0.1, 0.9)
    drr_db: tuple[float, float] = (-12.0, 3.0)
    coloured_share: float = 0.25
    music_share: float = 0.06
    second_noise_share: float = 0.5
    band_limit_share: float = 0.12
    band_limit_hz: tuple[float, ...] = (4000.0, 7000.0, 8000.0, 11000.0, 16000.0)


@dataclass(frozen=True)
class Scenes:
    """Degradations as varied as the world (scenes.py), made anew for every step: quick on a GPU.

    SNR, level, reverberation time, reverb_share, music_share and band limits are those of
    [degrade], the rest is here. Every share is of the examples, or of their noises.

    Attributes:
        on: Use them, in place of the pool of mixing.py.
        speed: Of the voices that are not as recorded: pitch and vocal tract together.
        speed_share: How many those are.
        noise_speed: The same of noises.
        two_talkers_share: Two voices, and both stay.
        noises: How often one, two and three noises sound at once.
        synthetic_share: Of noises that are tones and sweeps, hum, clicks and coloured noise.
        babble_share: Of noises that are 4 to 12 voices of other talkers.
        noise_room_share: Of noises in a room of their own.
        clean_share: 30 to 50 dB of SNR.
        noiseless_share: No noise at all.
        speechless_share: No voice at all: silence is wanted.
        microphone_share: With a microphone's response, steep and resonant, in input and target.
        jump_share: With a jump of level.
        distorted_share: With clipping, saturation, a gate or a telephone's quantiser.
        measured_share: Of rooms that are measured ones, where the cache has them.
    """

    on: bool = False
    speed: tuple[float, float] = (0.85, 1.2)
    speed_share: float = 0.6
    noise_speed: tuple[float, float] = (0.6, 1.6)
    two_talkers_share: float = 0.04
    noises: tuple[float, ...] = (0.5, 0.35, 0.15)
    synthetic_share: float = 0.22
    babble_share: float = 0.08
    noise_room_share: float = 0.35
    clean_share: float = 0.08
    noiseless_share: float = 0.03
    speechless_share: float = 0.03
    microphone_share: float = 0.6
    jump_share: float = 0.1
    distorted_share: float = 0.08
    measured_share: float = 0.4


@dataclass(frozen=True)
class Loss:
    """Weights of `losses.Restoration`: training on spectra.

    Attributes:
        under: Extra cost of a voice that is too soft, beside one that is too loud.
        complex_part: Of the complex difference, beside that of magnitudes.
        log_snr: Of the logarithm of the SNR.
        estoi: Of 1 - ESTOI.
        pmsqe: Of PESQ's disturbance.
        resolutions: Of the compressed difference of the sound in windows of 512 and 2048 samples.
    """

    under: float = 0.5
    complex_part: float = 0.3
    log_snr: float = 0.02
    estoi: float = 0.0
    pmsqe: float = 0.0
    resolutions: float = 0.0


@dataclass(frozen=True)
class Objective:
    """Weights of the losses of training on waveforms; 0 is without. (estimate, reference) each.

    Attributes:
        l1: Mean absolute difference.
        l2: Mean squared difference.
        snr: Negative SNR in dB.
        si_sdr: Negative SI-SDR in dB: a wrong gain costs nothing.
        stft: Multi-resolution STFT, spectral convergence and log magnitudes.
        compressed: Compressed complex spectra.
        features: Difference of features, of the net that `features_from` names.
        features_from: autoencoder (Kim and Sathe), germain, or discriminator.
        features_file: Its weights, made by `python -m train features`; not for discriminator.
        adversarial: The generator's share of the game.
        discriminator: mugan, segan, spectrogram or period; empty: no adversary.
        discriminator_width: Multiplier of its channels.
        game: bce, lsgan or hinge.
        features_warmup_steps: In which Germain's layers are weighed.
        warmup_steps: Of the generator alone, before adversary and features count.
        discriminator_lr: Of the adversary.
    """

    l1: float = 0.0
    l2: float = 0.0
    snr: float = 0.0
    si_sdr: float = 0.0
    stft: float = 0.0
    compressed: float = 0.0
    features: float = 0.0
    features_from: str = ""
    features_file: str = ""
    features_warmup_steps: int = 100
    adversarial: float = 0.0
    discriminator: str = ""
    discriminator_width: float = 1.0
    game: str = "lsgan"
    warmup_steps: int = 0
    discriminator_lr: float = 1e-4


@dataclass(frozen=True)
class Optim:
    """How it is trained.

    Attributes:
        kind: Of the plain optimiser: adamw or rmsprop.
        betas: Of AdamW.
        batch: Excerpts a step. Small ones won: 16 with Muon was level with 64 and three times the
            hours (prototype, 2 cores).
        muon_lr: Of matrices, and of convolutions as matrices, 0: AdamW for all. Constant 4e-3
            without decay diverged after 2,500 steps.
        muon_decay: Weight decay of the matrices; without it they grow until bfloat16 gives way.
        lr: AdamW's, of everything else.
        warmup_steps: Linear.
        decay_share: Last share of the run in which the rate falls linearly to a two-hundredth.
        clip: Of the gradient's norm.
        ema: Of the weights that are kept.
        minutes: The whole run's training time, over all its slices: the schedule's clock.
        steps: The whole run's steps, as the clock in place of minutes; 0: minutes.
    """

    kind: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.98)
    batch: int = 16
    muon_lr: float = 2.5e-3
    muon_decay: float = 0.05
    lr: float = 1e-3
    warmup_steps: int = 200
    decay_share: float = 1.0
    clip: float = 1.0
    ema: float = 0.998
    minutes: float = 60.0
    steps: int = 0

    def progress(self, step: int, spent_s: float) -> float:
        """How much of the whole run is over, 0..1."""
        return step / self.steps if self.steps else spent_s / (60 * self.minutes)


@dataclass(frozen=True)
class Run:
    """The rest.

    Attributes:
        seed: Of weights and of everything drawn.
        threads: torch's, on a CPU.
        pool: Voices and noises kept as spectra; each step renews a part and mixes anew.
        compile: torch.compile for the element-wise parts (needs a C++ compiler): 1.5 times faster.
        log_steps: Steps between two lines of log.csv.
        checkpoint_s: Seconds between two checkpoints.
        judge_s: Seconds between two looks at the development side: scores, sound, pictures.
        unseen_s: Seconds between two looks at its losses alone, which is quick; 0: never.
        tensorboard: Write its events too (needs the tensorboard package).
    """

    seed: int = 1
    threads: int = 2
    pool: int = 384
    compile: bool = True
    log_steps: int = 25
    checkpoint_s: float = 60.0
    judge_s: float = 600.0
    unseen_s: float = 0.0
    tensorboard: bool = True


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a run what it is; a checkpoint carries it.

    Attributes:
        degradation: Text in the language of `rtdenoise degrade`, for training on waveforms. Empty:
            the [degrade] table, for training on spectra (the network `spectral` alone).
        net: `network` names one of train/networks; the rest are its settings.
    """

    name: str = "speech"
    task: str = "denoise"
    kind: str = "speech"
    description: str = ""
    licence: str = "CC-BY-SA-4.0"
    data: Data = field(default_factory=Data)
    degrade: Degrade = field(default_factory=Degrade)
    scenes: Scenes = field(default_factory=Scenes)
    degradation: str = ""
    net: dict[str, Any] = field(default_factory=lambda: {"network": "spectral"})
    loss: Loss = field(default_factory=Loss)
    objective: Objective = field(default_factory=Objective)
    optim: Optim = field(default_factory=Optim)
    run: Run = field(default_factory=Run)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint or a card."""
        return asdict(self)


def build(kind: type[Any], values: dict[str, Any], where: str = "") -> Any:
    """Make a dataclass of *kind* from *values*, all the way down.

    Raises:
        UsageError: an unknown key (it lists the known ones) or a value of another type.
    """
    known = {f.name for f in fields(kind)}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"unknown setting {where}{unknown[0]}; known: {', '.join(sorted(known))}")
    hints, ready = get_type_hints(kind), {}
    for name, value in values.items():
        hint = hints[name]
        if hint == dict[str, Any]:
            ready[name] = getattr(kind(), name) | value
        elif isinstance(hint, type) and is_dataclass(hint):
            if not isinstance(value, dict):
                raise UsageError(f"{where}{name} is a table, got {value!r}")
            ready[name] = build(hint, value, f"{where}{name}.")
        else:
            ready[name] = _fitted(value, getattr(kind(), name), f"{where}{name}")
    return kind(**ready)


def _fitted(value: Any, default: Any, where: str) -> Any:
    """*value* as the type of *default*."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise UsageError(f"{where} = {value!r}: wanted {type(default).__name__}")
    return value


def load(path: str | Path, changes: list[str] | None = None) -> Recipe:
    """Read a recipe and apply `--set` changes such as `optim.lr=3e-4`.

    Raises:
        UsageError: no such file, bad TOML, unknown keys, wrong types.
    """
    try:
        values = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    for change in changes or []:
        key, equals, text = change.partition("=")
        if not equals:
            raise UsageError(f"--set {change}: wanted key=value, as in optim.lr=3e-4")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        *tables, last = key.strip().split(".")
        at = values
        for table in tables:
            at = at.setdefault(table, {})
        at[last] = value
    recipe: Recipe = build(Recipe, values)
    return recipe
