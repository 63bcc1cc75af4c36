"""Scenes keep the promises of signal theory: what is wanted is the voice, where it was."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rtdenoise.errors import UsageError
from train.config import Recipe
from train.data.bank import Bank, some
from train.data.echoes import SIZE, White, early, measured, simulate
from train.data.library import Library
from train.data.noisemakers import Filters, clicks, harmonics, hum, mains, tones, worn
from train.data.scenes import Scenes
from train.losses.spectral import Restoration
from train.networks.spectral import FRAMING, RATE_HZ
from train.sections import Data, Degrade, Loss, Scenes as Settings

CPU = torch.device("cpu")
ROWS = 12
PLAIN = Settings(
    on=True, speed_share=0, two_talkers_share=0, noises=(1.0,), synthetic_share=0, babble_share=0,
    noise_room_share=0, clean_share=0, noiseless_share=0, speechless_share=0, microphone_share=0,
    jump_share=0, distorted_share=0, measured_share=0,
)  # fmt: skip
DRY = Degrade(
    snr_db=(5.0,), snr_share=(1.0,), level_db=(-30.0, -30.0), reverb_share=0, coloured_share=0,
    music_share=0, band_limit_share=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Voices of a steady 440 Hz and a short one, noises, and a measured room: 48 kHz."""
    folder = tmp_path_factory.mktemp("cache")
    rng, time_s = np.random.default_rng(0), np.arange(3 * RATE_HZ) / RATE_HZ
    voice = 8000 * np.sin(2 * np.pi * 440 * time_s)
    sounds = {
        "speech": [voice, voice[: RATE_HZ // 2], voice],
        "noise": [3000 * rng.standard_normal(RATE_HZ // 2) for _ in range(3)],
        "rir": [np.concatenate([np.zeros(500), [30000], 6000 * rng.standard_normal(9000)])],
    }
    rows = []
    for kind, parts in sounds.items():
        at = 0
        for number, part in enumerate(parts):
            row = {"kind": kind, "source": f"{kind}{number}", "origin": "made", "licence": "CC0"}
            place = {"start": at, "stop": at + len(part), "bandwidth_hz": 20_000.0}
            rows.append(row | place | {"split": "dev" if number == 2 else "train"})
            at += len(part)
        np.concatenate(parts).astype(np.int16).tofile(folder / f"{kind}.i16")
    index = {"rate_hz": RATE_HZ, "recordings": [r for r in rows if r["kind"] != "rir"]}
    index["rooms"] = [r for r in rows if r["kind"] == "rir"]
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def music_cache(cache, tmp_path_factory):
    """The noises of `cache`, and music: a steady chord."""
    folder = tmp_path_factory.mktemp("music")
    index = json.loads((cache / "index.json").read_text())
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    chord = 3000 * np.sin(2 * np.pi * np.outer([262, 330, 392], time_s)).sum(0)
    chord.astype(np.int16).tofile(folder / "music.i16")
    (folder / "noise.i16").write_bytes((cache / "noise.i16").read_bytes())
    row = {"kind": "music", "source": "song", "origin": "made", "licence": "CC0", "start": 0}
    song = row | {"stop": len(chord), "bandwidth_hz": 20_000.0, "split": "train"}
    noises = [row for row in index["recordings"] if row["kind"] == "noise"]
    made = {"rate_hz": RATE_HZ, "recordings": [*noises, song], "rooms": []}
    (folder / "index.json").write_text(json.dumps(made))
    return folder


def scenes(cache, own=PLAIN, common=DRY, seed=1, kind="speech"):
    recipe = Recipe(kind=kind, data=Data(seconds=1.0), degrade=common, scenes=own)
    return Scenes(Library(cache, recipe.data), recipe, FRAMING, ROWS, seed, CPU)


def energy(x):
    return x.square().sum((1, 2, 3))


def test_without_noise_what_is_heard_is_what_is_wanted(cache):
    """With speeds, microphones, jumps of level and band limits: they are of both."""
    own = replace(PLAIN, noiseless_share=1.0, speed_share=1, microphone_share=1, jump_share=1)
    x, y, _ = scenes(cache, own, replace(DRY, band_limit_share=0.5)).batch(0)

    torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-4)
    assert (energy(y) > 0).all()


def test_a_step_depends_on_seed_and_step_alone(cache):
    """Whatever came before it; so a run that was stopped goes on with the same examples."""
    own = Settings(on=True)
    one, other = scenes(cache, own, Degrade()), scenes(cache, own, Degrade())
    one.batch(3)
    for mine, theirs in zip(one.batch(7), other.batch(7), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(one.batch(7)[0], one.batch(8)[0])
    assert not torch.equal(one.batch(7)[0], scenes(cache, own, Degrade(), seed=2).batch(7)[0])


def test_snr_and_level_are_those_drawn(cache):
    """5 dB and its jitter, the voice at -30 dBFS: windows are a tight frame, so spectra tell."""
    x, y, _ = scenes(cache).batch(0)
    snr_db = 10 * torch.log10(energy(y) / energy(x - y))
    _, wanted, _, _ = scenes(cache).sounds(np.random.default_rng(5))
    level_db = 20 * torch.log10(wanted.square().mean(1).sqrt())

    assert (snr_db > 2.0).all()
    assert (snr_db < 8.0).all()
    assert snr_db.std() > 0.3
    torch.testing.assert_close(level_db, torch.full((ROWS,), -30.0), atol=0.1, rtol=0)


def test_without_a_voice_silence_is_wanted(cache):
    """And no loss of the recipe minds: all finite, with finite gradients."""
    x, y, _ = scenes(cache, replace(PLAIN, speechless_share=1.0)).batch(0)
    loss = Restoration(Loss(log_snr=0.03, estoi=0.1, pmsqe=0.01, resolutions=0.5), FRAMING)
    estimate = x.clone().requires_grad_()
    parts = loss(
        (estimate[:, 0], estimate[:, 1]), (y[:, 0], y[:, 1]), torch.ones(len(x), 1, x.shape[3])
    )
    parts["loss"].backward()

    assert not y.any()
    assert (energy(x) > 0).all()
    assert not parts["log_snr"].any()
    assert not parts["estoi"].any()
    assert all(torch.isfinite(part.detach()) for part in parts.values())
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()


def test_band_limits_are_of_input_and_target(cache):
    """Nobody learns to invent what a device lost."""
    common = replace(DRY, band_limit_share=1.0, band_limit_hz=(4000.0,))
    x, y, _ = scenes(cache, PLAIN, common).batch(0)
    cut = round(4000 * 1024 / RATE_HZ) + 1

    assert not x[..., cut:].any()
    assert not y[..., cut:].any()
    assert x[..., : cut - 2].any()


def test_everything_at_once_is_finite_and_within_full_scale(cache):
    """Half of everything, and every fault."""
    own = replace(
        Settings(on=True), distorted_share=1.0, jump_share=0.5, noises=(0.3, 0.3, 0.4),
        synthetic_share=0.5, two_talkers_share=0.3,
    )  # fmt: skip
    made = scenes(cache, own, Degrade(level_db=(-45.0, -3.0)))
    for step in range(3):
        x, y, hz, _ = made.sounds(np.random.default_rng(step))
        assert torch.isfinite(x).all()
        assert torch.isfinite(y).all()
        assert x.abs().max() <= 1.0
        assert (hz <= RATE_HZ / 2).all()


# Music.


def test_music_without_noise_or_microphone_is_its_own_target(music_cache):
    """And it is the recording: its three tones, and nothing else."""
    own = replace(PLAIN, noiseless_share=1.0)
    common = replace(DRY, speech_eq_db=0)
    made = scenes(music_cache, own, common, kind="music")
    x, y, _, _ = made.sounds(np.random.default_rng(0))
    power = torch.fft.rfft(y[:, :RATE_HZ] * torch.hann_window(RATE_HZ)).abs().square()
    near = torch.zeros(power.shape[1])
    for hz in (262, 330, 392):
        near[hz - 3 : hz + 4] = 1.0

    assert torch.equal(x, y)
    assert ((power * near).sum(1) > 0.999 * power.sum(1)).all()


def test_snr_and_level_of_worn_music_are_those_drawn(music_cache):
    """Also if all noises are those of old recordings: 5 dB and its jitter, at -30 dBFS."""
    common = replace(DRY, worn_share=1.0)
    made = scenes(music_cache, PLAIN, common, kind="music")
    x, y, _, _ = made.sounds(np.random.default_rng(0))
    snr_db = 10 * torch.log10(y.square().mean(1) / (x - y).square().mean(1))
    level_db = 10 * torch.log10(y.square().mean(1))

    assert ((snr_db > 2.4) & (snr_db < 7.6)).all()
    # A click that would exceed full scale lowers the level of its row.
    assert (level_db < -29.9).all()
    assert ((level_db + 30).abs() < 0.1).float().mean() > 0.7


def test_music_depends_on_seed_and_step_alone_and_never_has_talkers(music_cache):
    """Whatever the shares say: this cache has no speech, of which babble could be made."""
    own, common = (
        Settings(on=True, babble_share=0.9, two_talkers_share=0.9),
        Degrade(worn_share=0.3),
    )
    one, other = (scenes(music_cache, own, common, kind="music") for _ in range(2))
    one.batch(3)
    for mine, theirs in zip(one.batch(7), other.batch(7), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(one.batch(7)[0], one.batch(8)[0])


def test_a_cache_without_music_is_refused(cache, music_cache):
    """And one without speech, for a recipe of speech."""
    with pytest.raises(UsageError, match="there is no music on the train side"):
        scenes(cache, kind="music")
    with pytest.raises(UsageError, match="there is no speech on the train side"):
        scenes(music_cache)


def test_echoes_are_no_louder_than_the_setting(cache):
    """By energy, relative to the direct sound: the first 2.3 ms."""
    for most_db in (-3.0, 12.0):
        made = scenes(cache, replace(PLAIN, echoes_db=most_db), replace(DRY, t60_s=(0.8, 1.1)))
        rooms = made.rooms(48, np.random.default_rng(0))
        energies = (part.square().sum(1) for part in rooms.tensor_split([112], 1))
        direct, echoes = energies
        loudest_db = (10 * torch.log10(echoes / direct)).max()
        assert loudest_db <= most_db + 0.01
        assert loudest_db > most_db - 3


# Recordings.


def test_speed_one_gives_the_samples_and_speed_two_the_octave(cache):
    """Sources that end: a voice is silent after it, a noise begins again."""
    bank = Bank(Library(cache, Data(seconds=1.0)), CPU)
    rng = np.random.default_rng(3)
    found, hz = bank.excerpts("speech", 24_000, np.ones(8), rng)
    stored = np.fromfile(cache / "speech.i16", np.int16)
    _, at, length = bank.places("speech", np.full(8, 24_000.0), np.random.default_rng(3))
    for row in range(8):
        expected = stored[at[row] : at[row] + min(length[row], 24_000)] / 32768
        np.testing.assert_allclose(found[row, : len(expected)], expected, atol=1e-7)
    assert (hz == 20_000).all()

    fast, hz = bank.excerpts("speech", 8192, np.full(4, 2.0), rng)
    peak_hz = torch.fft.rfft(fast * torch.hann_window(8192)).abs().argmax(1) * RATE_HZ / 8192
    assert ((peak_hz - 880).abs() < 12).all()
    assert (hz == 24_000).all()

    noise, _ = bank.excerpts("noise", 2 * RATE_HZ, np.ones(2), rng)
    assert noise[:, -RATE_HZ // 2 :].std() > 0.05


def test_as_many_as_were_asked_for():
    rng = np.random.default_rng(0)
    counts = [len(some(10, 0.25, rng)) for _ in range(2000)]

    assert set(counts) == {2, 3}
    assert np.mean(counts) == pytest.approx(2.5, abs=0.05)


# Rooms.


def test_rooms_begin_with_the_direct_sound_and_decay():
    """One at sample 0, so that a voice in a room keeps its place; longer T60, longer decay."""
    white, rng = White(CPU), np.random.default_rng(0)
    short, long = simulate(16, (0.15, 0.2), rng, white), simulate(16, (0.8, 1.0), rng, white)
    for rooms in (short, long):
        assert rooms.shape == (16, SIZE)
        torch.testing.assert_close(rooms[:, 0], torch.ones(16))
        assert torch.isfinite(rooms).all()
    late = [rooms[:, RATE_HZ // 4 :].square().sum(1).mean() for rooms in (short, long)]
    assert late[1] > 30 * late[0]
    kept = early(long, Degrade())
    assert torch.equal(kept[:, : RATE_HZ // 50], long[:, : RATE_HZ // 50])
    assert kept[:, RATE_HZ // 5 :].abs().max() < 0.02 * long.abs().max()


def white_voices(count, rng):
    """Voices whose place in time is sharp: (count, a second and a hop)."""
    samples = RATE_HZ // 512 * 512 + 512
    sound = rng.standard_normal((count, samples), dtype=np.float32)
    return torch.from_numpy(sound), np.full(count, 24_000.0)


def test_a_voice_in_a_room_stays_where_it_was(cache):
    """Input and target are aligned to the sample, in simulated rooms and in measured ones."""
    for share in (0.0, 1.0):
        own = replace(PLAIN, noiseless_share=1.0, measured_share=share, noises=(1.0,))
        made = scenes(cache, own, replace(DRY, reverb_share=1.0))
        made._voice = white_voices
        x, y, _ = made.voices(np.random.default_rng(1))
        size = 2 * made.samples
        lags = torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(y, size).conj(), size)
        assert (lags.abs().argmax(1) == 0).all()
        assert (y.square().sum(1) < x.square().sum(1)).float().mean() > 0.7


def test_measured_rooms_are_of_their_side(cache):
    data = Data()
    rooms = measured(Library(cache, data, "train"), CPU)

    assert rooms is not None
    assert rooms.shape == (1, SIZE)
    assert rooms[0].abs().argmax() == 16
    assert measured(Library(cache, data, "dev"), CPU) is None


# Noises and filters.


@pytest.mark.parametrize("make", [tones, hum, clicks])
def test_made_noises_sound_and_differ(make):
    sound = make(6, 24_000, np.random.default_rng(0), CPU)

    assert sound.shape == (6, 24_000)
    assert torch.isfinite(sound).all()
    assert (sound.std(1) > 0).all()
    assert not torch.allclose(sound[0], sound[1])


def test_harmonics_are_the_sum_of_sines():
    """The table of a period gives what forty sines give, to -80 dB, at a pitch that moves."""
    hz = torch.linspace(50, 240, RATE_HZ).expand(2, -1)
    gains = np.random.default_rng(1).uniform(0.1, 1, (2, 40))
    made = harmonics(hz, gains, np.random.default_rng(0))
    turns = torch.from_numpy(np.random.default_rng(0).random((2, 40)))
    phase = torch.cumsum(hz.double() / RATE_HZ, 1)
    angle = 2 * np.pi * (phase[:, None] * torch.arange(1, 41)[:, None] + turns[:, :, None])
    expected = (torch.from_numpy(gains)[:, :, None] * torch.cos(angle)).sum(1)

    assert (made - expected).std() < 1e-4 * expected.std()


def test_mains_hum_is_steady():
    """Lines at multiples of about 50 or 60 Hz with a tenth of a second's level all along."""
    sound = mains(16, 2 * RATE_HZ, np.random.default_rng(0), CPU)
    levels = sound.view(16, 10, -1).std(2)
    assert (levels.amax(1) < 1.2 * levels.amin(1)).all()
    power = torch.fft.rfft(sound * torch.hann_window(2 * RATE_HZ)).abs().square()
    assert (power.sort(1, descending=True)[0][:, :100].sum(1) > 0.99 * power.sum(1)).all()
    assert (power[:, : 2 * 45].sum(1) < 1e-3 * power.sum(1)).all()


def test_filters_are_drawn_a_row_each():
    """Through the points they are given; a microphone never lets more through than it resonates."""
    filters = Filters(4096, CPU)
    flat = filters.smooth(np.full((2, 5), 6.0))
    torch.testing.assert_close(flat, torch.full_like(flat, 10 ** (6 / 20)), atol=1e-3, rtol=0)
    response = filters.microphone(32, np.random.default_rng(0))
    assert torch.isfinite(response).all()
    assert (response > 0).float().mean() > 0.9
    assert response.max() < 10 ** ((6 + 24) / 20)


def test_the_noise_of_worn_recordings_is_finite_and_has_all_four_kinds():
    """Hiss, hum, crackle and rumble: some rows are peaky, some tonal, some below 100 Hz."""
    rows = worn(64, RATE_HZ, np.random.default_rng(0), White(CPU))
    power = torch.fft.rfft(rows).abs().square()
    low = power[:, :100].sum(1) / power.sum(1)
    tonal = power.amax(1) / power.sum(1)
    crest = rows.abs().amax(1) / rows.std(1)

    assert torch.isfinite(rows).all()
    assert (low > 0.9).any()
    assert (low < 0.1).any()
    assert (tonal > 0.05).any()
    assert (crest > 20).any()
    assert (crest < 6).any()
