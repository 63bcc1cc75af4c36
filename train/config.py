"""A run's settings: frozen dataclasses, filled from a TOML recipe and changes such as a.b=c.

An unknown key is an error: a misspelt one would silently mean its default. So is a key that this
kind of training does not read: it would silently do nothing.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtdenoise.errors import UsageError

from .settings import build


@dataclass(frozen=True)
class Data:
    """The recordings that train a net, those that score it, and how excerpts are drawn from them.

    Attributes:
        dev_share: Share of the sources (speakers, noise recordings) on the development side, which
            scores a run while it trains.
        test_share: Share of the sources on the test side, which nothing reads before the last
            evaluation.
        held_out_sources: Names of sources that are on the development side whatever the share says
            (the voices of the demo).
        held_out_origins: Data sets all of whose sources are on the development side (the noises of
            the demo).
        length_power: A recording is drawn as often as its length to this power says. With 1 one
            long talker outweighs a hundred short ones, with 0 three seconds come as often as ten
            minutes.
        narrow_weight: How often speech whose band ends below 8 kHz is drawn, relative to the rest.
        seconds: Length of a training excerpt.
        margin_s: A waveform is degraded with this much sound before and after the excerpt, and the
            margins are cut off again. So an excerpt begins in the middle of a room's echoes and of
            a filter's ringing, as windows do.
        rate_hz: Sample rate of the cache, which has to be the net's.
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
    """The damage done to voices before a net is trained on their spectra.

    A pair of numbers is the range (low, high) that a value is drawn from, evenly.

    Attributes:
        snr_db: Centres of the SNR of a mixture; what is drawn lies within 2.5 dB of one of them.
        snr_share: How often each of these centres is drawn.
        level_db: RMS level of the voice relative to full scale.
        speech_eq_db: Largest gain and cut of the random equaliser on voices.
        noise_eq_db: Largest gain and cut of the random equaliser on noises.
        reverb_share: Share of the voices that are in a room. The target keeps the first 20 ms of
            the room and fades out the rest.
        t60_s: Reverberation time of these rooms.
        drr_db: Energy of the room's echoes relative to the direct sound.
        coloured_share: Share of the noises that are synthetic, with a power of 1/f^0 to 1/f^1.2.
        music_share: Share of the noises that are music.
        second_noise_share: Share of the mixtures that have two noises.
        band_limit_share: Share of the mixtures that are low-passed, input and target alike, as by
            a device of narrow band.
        band_limit_hz: Cut-offs of these low-passes.
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
    """Weights of the losses on spectra, see losses/spectral.py; 0 leaves a loss out.

    Attributes:
        under: Extra cost of a magnitude that is too small; one that is too large costs 1.
        complex_part: Weight of the difference of complex values; that of magnitudes weighs 1.
        log_snr: Weight of the logarithm of the noise-to-signal ratio.
        estoi: Weight of 1 - ESTOI.
        pmsqe: Weight of the disturbance that PESQ measures.
        resolutions: Weight of the difference of the sound in windows of half and of twice the size.
    """

    under: float = 0.5
    complex_part: float = 0.3
    log_snr: float = 0.02
    estoi: float = 0.0
    pmsqe: float = 0.0
    resolutions: float = 0.0


@dataclass(frozen=True)
class Objective:
    """Weights of the losses on waveforms, and the adversary; 0 leaves a loss out.

    Attributes:
        l1: Weight of the mean absolute difference.
        l2: Weight of the mean squared difference.
        snr: Weight of the negative SNR in dB.
        si_sdr: Weight of the negative SI-SDR in dB, which a wrong gain does not change.
        stft: Weight of the difference of STFTs at several resolutions.
        compressed: Weight of the difference of compressed complex spectra.
        features: Weight of the difference of the features that another net computes.
        features_from: The net that computes them: autoencoder (Kim and Sathe), germain, or
            discriminator.
        features_file: File with the weights of that net, which `features` has trained; not for the
            discriminator.
        features_warmup_steps: Steps in which the usual loss of Germain's layers is measured.
        adversarial: Weight of the generator's loss in the game against the discriminator.
        discriminator: mugan, segan, spectrogram or period; empty means that there is no adversary.
        discriminator_width: Factor on the number of the discriminator's channels.
        game: Rules of the game: bce, lsgan or hinge.
        warmup_steps: Steps before the adversary and the features begin to count.
        discriminator_lr: Largest learning rate of the discriminator.
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
    """The optimisers, and the schedule of their learning rates.

    Attributes:
        kind: The optimiser of everything that Muon does not train: adamw or rmsprop.
        betas: Decay rates of AdamW's running means of the gradient and of its square.
        batch: Excerpts that one step sees. Small batches won: 16 with Muon was level with 64 and
            three times the hours (prototype, 2 cores).
        muon_lr: Largest learning rate of Muon, which trains matrices, and convolutions as matrices;
            0 trains all with the plain optimiser. Constant 4e-3 without decay diverged after 2,500
            steps.
        muon_decay: Weight decay of the matrices; without it they grow until bfloat16 gives way.
        lr: Largest learning rate of the plain optimiser.
        warmup_steps: Steps in which the learning rates rise from 0, linearly.
        decay_share: Share of the run, at its end, in which the learning rates fall to a
            two-hundredth, linearly.
        clip: Largest norm of the gradient; a longer one is scaled down to it.
        ema: The weights that are kept are a running mean; this is its decay rate a step.
        minutes: Training time of the whole run, over all its slices: the clock of the schedule.
        steps: Steps of the whole run, as the clock in place of minutes; 0 means minutes.
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
    """The seed of a run, the machine's share in it, and how often it takes notes.

    Attributes:
        seed: Seed of the first weights and of everything that is drawn.
        threads: Threads that torch may use on a CPU.
        pool: Voices and noises that are kept as spectra; each step renews some and mixes anew.
        compile: Let torch.compile make the element-wise parts of training on spectra 1.5 times as
            fast (it needs a C++ compiler).
        log_steps: Steps between two lines of log.csv.
        checkpoint_s: Seconds between two checkpoints.
        dev_s: Seconds between two evaluations on the development side: scores, sound, pictures.
        unseen_s: Seconds between two looks at its losses alone, which is quick; 0: never.
        tensorboard: Write events for TensorBoard too (it needs the tensorboard package).
    """

    seed: int = 1
    threads: int = 2
    pool: int = 384
    compile: bool = True
    log_steps: int = 25
    checkpoint_s: float = 60.0
    dev_s: float = 600.0
    unseen_s: float = 0.0
    tensorboard: bool = True


@dataclass(frozen=True)
class Train:
    """The kind of training: on spectra, or on waveforms.

    Attributes:
        on: `spectra` that are mixed anew in every step ([degrade], [loss]), or `waves`, pairs of
            waveforms that `degradation` makes ([objective]). A recipe that does not say it is
            trained on waves if it has a `degradation`, and on spectra if it has none.
    """

    on: str = "spectra"


# The tables and keys that training on spectra, or on waves, does not read: they are refused.
UNREAD = {
    "spectra": ("degradation", "objective", "data.margin_s"),
    "waves": ("degrade", "scenes", "loss", "run.pool", "run.compile"),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a run what it is; its checkpoint carries the recipe.

    Attributes:
        name: name of the model on its card.
        task: denoise, dereverb or superres.
        kind: speech or music: what the net restores.
        description: A sentence for the card.
        licence: Licence of the model on its card.
        train: Whether the net is trained on spectra or on waveforms.
        data: The recordings.
        degrade: Damage to train against on spectra.
        degradation: Damage to train against on waveforms, in the language of `rtdenoise degrade`;
            or `recorded`, for a data set's own pairs.
        net: `network` names one of train/networks; the other keys are its settings.
        loss: Weights of the losses on spectra.
        objective: Weights of the losses on waveforms.
        optim: How the weights move.
        run: How the run is carried out.
    """

    name: str = "speech"
    task: str = "denoise"
    kind: str = "speech"
    description: str = ""
    licence: str = "CC-BY-SA-4.0"
    train: Train = field(default_factory=Train)
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


def train_table(values: dict[str, Any]) -> Any:
    """The [train] table of a recipe; where it does not say `on`, the rule of `Train` does.

    Raises:
        UsageError: [train] names no kind of training.
    """
    table = values.get("train", {})
    if not isinstance(table, dict):
        return table  # `build` says what is wrong with it
    table = {"on": "waves" if values.get("degradation") else "spectra"} | table
    if table["on"] not in UNREAD:
        raise UsageError(f"train.on = {table['on']!r}; known: {', '.join(UNREAD)}")
    return table


def _said(values: dict[str, Any], name: str) -> list[str]:
    """The keys that a recipe sets of *name*, a table or one key; an empty text sets nothing."""
    first, _, key = name.partition(".")
    value = values.get(first)
    if key:
        return [name] if isinstance(value, dict) and key in value else []
    if isinstance(value, dict):
        return [f"{name}.{key}" for key in value]
    return [name] if value else []


def load(path: str | Path, changes: list[str] | None = None) -> Recipe:
    """Read a recipe and apply changes such as `optim.lr=3e-4`.

    Raises:
        UsageError: no such file, bad TOML, unknown keys, wrong types, or keys that this kind of
            training does not read.
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
            raise UsageError(f"{change!r} changes nothing: wanted key=value, as in optim.lr=3e-4")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        *tables, last = key.strip().split(".")
        at = values
        for table in tables:
            at = at.setdefault(table, {})
        at[last] = value
    recipe: Recipe = build(Recipe, values | {"train": train_table(values)})
    if unread := [key for name in UNREAD[recipe.train.on] for key in _said(values, name)]:
        raise UsageError(
            f"training on {recipe.train.on} (train.on) does not read {', '.join(unread)}: take "
            "it out of the recipe"
        )
    return recipe


def stored(values: dict[str, Any]) -> Recipe:
    """The recipe that a checkpoint or a card carries, in today's words if it is an older one."""
    run = dict(values["run"])
    if "judge_s" in run:  # its name until November 2026
        run["dev_s"] = run.pop("judge_s")
    recipe: Recipe = build(Recipe, values | {"train": train_table(values), "run": run})
    return recipe
