"""The tables of a recipe: frozen dataclasses with the meaning and the default of every key."""

from __future__ import annotations

from dataclasses import dataclass


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
        shards: The recordings that a share of a step (optim.shares) is drawn from: `all` of them;
            `parts`: share s of n takes the parts s, s + n, s + 2n, ... of the cache, in the order
            of their names; `own`: all of the cache of its machine, each of which has another.
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
    shards: str = "all"


@dataclass(frozen=True)
class Degrade:
    """The degradations of voices and noises for training on spectra.

    A pair of numbers is the range (low, high) that a value is drawn from, evenly.

    Attributes:
        snr_db: Centres of the SNR of a mixture; what is drawn lies within 2.5 dB of one of them.
        snr_share: How often each of these centres is drawn.
        level_db: RMS level of the voice relative to full scale.
        speech_eq_db: Largest gain and cut of the random equaliser on voices.
        noise_eq_db: Largest gain and cut of the random equaliser on noises.
        reverb_share: Share of the voices that are in a room. The target keeps the direct sound and
            the first reflections, and fades out the rest.
        keep_s: Time after the direct sound up to which the target keeps the whole room.
        fade_s: Time constant of the target's fade after it.
        t60_s: Reverberation time of these rooms.
        drr_db: Energy of the room's echoes relative to the direct sound.
        coloured_share: Share of the noises that are synthetic, with a power of 1/f^0 to 1/f^1.2.
        worn_share: Share of the noises that are those of old recordings: hiss, hum, crackle and
            rumble.
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
    keep_s: float = 0.020  # reflections up to here fuse with the voice
    fade_s: float = 0.030
    t60_s: tuple[float, float] = (0.1, 0.9)
    drr_db: tuple[float, float] = (-12.0, 3.0)
    coloured_share: float = 0.25
    worn_share: float = 0.0
    music_share: float = 0.06
    second_noise_share: float = 0.5
    band_limit_share: float = 0.12
    band_limit_hz: tuple[float, ...] = (4000.0, 7000.0, 8000.0, 11000.0, 16000.0)


@dataclass(frozen=True)
class Scenes:
    """The acoustic scenes of data/scenes.py, which are simulated anew for every step (for a GPU).

    SNR, level, reverberation time, what the target keeps of a room, band limits, reverb_share,
    coloured_share, worn_share and music_share are those of [degrade]; the energy of the echoes
    follows from the room. For a recipe of music, "voice" means a piece of music, and there is no
    second voice, no babble and no music among the noises. Shares are of the examples of a step,
    unless they say otherwise.

    Attributes:
        on: Simulate scenes instead of mixing the pool of data/mixing.py.
        speed: Range of the playback speeds of voices, which scale pitch and vocal tract alike.
        speed_share: Share of the voices that are played at such a speed.
        noise_speed: Range of the playback speeds of noises.
        two_talkers_share: Share with a second voice; the target keeps both voices.
        noises: Relative frequencies of one, two and three simultaneous noises.
        synthetic_share: Share of the noises that are tones, hum, clicks or coloured noise.
        babble_share: Share of the noises that are the sum of 4 to 12 other talkers.
        noise_room_share: Share of the noises that are in a room of their own.
        clean_share: Share with an SNR of 30 to 50 dB.
        noiseless_share: Share without noise.
        speechless_share: Share without a voice; the target is silence.
        microphone_share: Share with a microphone's response, in input and target alike.
        jump_share: Share with a sudden change of level.
        distorted_share: Share with clipping, saturation, a gate or a telephone's quantiser.
        measured_share: Share of the rooms that are measured responses, if the cache has any.
        echoes_db: Most energy of a room's echoes relative to the direct sound.
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
    echoes_db: float = 8.0


@dataclass(frozen=True)
class Narrow:
    """The limited bands of data/narrow.py, which training on envelopes learns to extend.

    The scenes around them are those of [scenes] and [degrade]: speeds, rooms, levels, what noises
    are made of. Shares are of the examples of a step.

    Attributes:
        on: Simulate scenes instead of degrading waveforms as `degradation` says.
        share: Share whose band is limited; the others keep that of their recording.
        cutoff_hz: Range of the cut-offs, drawn evenly in octaves.
        steep_share: Share of the low-passes that are as steep as those of resamplers and codecs.
        noise_share: Share with noise in the input, which the target has not.
        snr_db: Range of its SNR.
        microphone_db: Largest gain and cut of the microphone's response, in input and target alike.
    """

    on: bool = False
    share: float = 0.9
    cutoff_hz: tuple[float, float] = (3000.0, 16_000.0)
    steep_share: float = 0.5
    noise_share: float = 0.5
    snr_db: tuple[float, float] = (15.0, 60.0)
    microphone_db: float = 5.0


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

    Training on spectra reads the adversary's keys only, and features of the discriminator.

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
        discriminator: mugan, segan, spectrogram, complex, period, or metric, which predicts PESQ
            and ESTOI at 48 kHz; empty means that there is no adversary.
        discriminator_width: Factor on the number of the discriminator's channels.
        game: Rules of the game: bce, lsgan, hinge, or metric for the discriminator of that name.
        warmup_steps: Steps before the adversary and the features begin to count.
        head_start_steps: Steps after these in which the discriminator learns, but the generator
            does not hear it.
        discriminator_lr: Largest learning rate of the discriminator.
        play_share: Share of the excerpts of a batch, its first ones, that the discriminator hears.
        play_s: Length of the part that it hears, at a place drawn in every step; 0 means all.
        examiners: Processes that compute the metrics of the game `metric`; 0 means the run's own.
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
    head_start_steps: int = 0
    discriminator_lr: float = 1e-4
    play_share: float = 1.0
    play_s: float = 0.0
    examiners: int = 0


@dataclass(frozen=True)
class Optim:
    """The optimisers, and the schedule of their learning rates.

    Attributes:
        kind: The optimiser of everything that Muon does not train: adamw or rmsprop.
        betas: Decay rates of AdamW's running means of the gradient and of its square.
        batch: Excerpts of one step, of all processes together. On two cores a batch of 16 with Muon
            reached in a third of the time what a batch of 64 with AdamW reached.
        shares: Number of equal shares that the batch is cut into. Each process computes some of
            them, so that a run that goes on with fewer processes makes the same steps. 0 means the
            number of processes that the run begins with.
        muon_lr: Largest learning rate of Muon, which trains matrices, and convolutions as matrices;
            0 trains all with the plain optimiser. A constant rate of 4e-3 without weight decay
            diverged after 2,500 steps.
        muon_decay: Weight decay of the matrices; without it they outgrow bfloat16's precision.
        lr: Largest learning rate of the plain optimiser.
        warmup_steps: Steps in which the learning rates rise from 0, linearly.
        decay_share: Share of the run, at its end, in which the rates fall linearly to 1/200.
        clip: Largest norm of the gradient; a longer one is scaled down to it.
        ema: Decay rate per step of the running mean of the weights, which is what is exported.
        minutes: Training time of the whole run, over all its slices: the clock of the schedule.
        steps: Steps of the whole run, as the clock in place of minutes; 0 means minutes.
    """

    kind: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.98)
    batch: int = 16
    shares: int = 0
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
        """Return the share of the whole run that is over, 0..1."""
        return step / self.steps if self.steps else spent_s / (60 * self.minutes)


@dataclass(frozen=True)
class Run:
    """How a run is carried out: its seed, its use of the machine, and how often it reports.

    Attributes:
        seed: Seed of the first weights and of everything that is drawn.
        threads: Threads that torch may use on a CPU.
        pool: Number of voices, and of noises, kept as spectra, in all processes together; each
            step renews some of them.
        compile: Compile the element-wise parts of training on spectra with torch.compile, which
            makes them 1.5 times as fast and needs a C++ compiler.
        log_steps: Steps between two lines of log.csv.
        checkpoint_s: Seconds between two checkpoints.
        dev_s: Seconds between two evaluations on the development side: scores, sound, pictures.
        unseen_s: Seconds between two computations of the losses on that side; 0 means never.
        patience_s: Seconds that a process waits for the others before it gives up. It has to be
            longer than an evaluation on the development side takes.
        tensorboard: Write events for TensorBoard too; this needs the tensorboard package.
    """

    seed: int = 1
    threads: int = 2
    pool: int = 384
    compile: bool = True
    log_steps: int = 25
    checkpoint_s: float = 60.0
    dev_s: float = 600.0
    unseen_s: float = 0.0
    patience_s: float = 300.0
    tensorboard: bool = True


@dataclass(frozen=True)
class Train:
    """The kind of training: on spectra, on waveforms, or on envelopes.

    Attributes:
        on: `spectra` that are mixed anew in every step ([degrade], [loss]), or `waves`, pairs of
            waveforms that `degradation` makes ([objective]), or `envelopes` of the same pairs, or
            of scenes ([narrow]), for `extension`. A recipe that does not say it is trained on
            waves if it has a `degradation`, and on spectra if it has none.
    """

    on: str = "spectra"
