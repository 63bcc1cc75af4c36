"""Pairs of sources that no training saw."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.degrade import parse
from rtdenoise.degrade.language import EXAMPLES, KEEPS_LEVEL
from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES, TINY
from train import config
from train.cli import main
from train.data.library import Library
from train.data.pauses import range_db
from train.data.prepare import prepare
from train.evaluate import checks, mixes
from train.evaluate.deck import Choice, Deck, OriginDeck
from train.sections import Data


def test_mixes_have_the_snr_they_say(cache, tmp_path):
    """Clean and noisy differ by noise at the stated level; pairs of two makings never mingle."""
    mixes.make(cache, TINY, tmp_path, count=8, snr_db=(-5, 0, 5, 20))
    for noisy in sorted((tmp_path / "degraded").iterdir()):
        x, y = sf.read(noisy)[0], sf.read(tmp_path / "clean" / noisy.name)[0]
        assert 20 * np.log10(y.std() / (x - y).std()) == pytest.approx(
            int(noisy.name[3:6]), abs=0.1
        )
    with pytest.raises(UsageError, match="holds pairs already"):
        mixes.make(cache, TINY, tmp_path, count=4)
    assert len(list((tmp_path / "clean").iterdir())) == 8


def test_mixes_depend_on_their_seed_alone(cache, tmp_path):
    """The same pairs again, and others to see whether a score was luck."""
    command = ["mixes", str(RECIPES / "tiny.toml"), "--cache", str(cache), "--count", "5"]
    for name, seed in (("first", "7"), ("again", "7"), ("other", "8")):
        assert main([*command, "-o", str(tmp_path / name), "--seed", seed]) == 0
    first, again, other = (
        np.array([sf.read(path)[0] for path in sorted((tmp_path / name / "degraded").iterdir())])
        for name in ("first", "again", "other")
    )  # not their bytes: libsndfile notes the second in which it wrote
    assert np.array_equal(first, again)
    assert (first != other).any(1).all()


def recipe(folder, damage, data="dev_share = 0.3\nrate_hz = 16000"):
    """A recipe file that says only how pairs are degraded."""
    path = folder / "recipe.toml"
    path.write_text(
        f'name = "pairs"\ndegradation = "{damage}"\n[train]\non = "waves"\n[data]\n{data}'
    )
    return path


def origins(folder):
    with (folder / "pairs.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_every_source_is_heard_once_before_any_is_heard_twice(cache, tmp_path):
    """Numbers of pairs of a voice, and of a noise, differ by one at most; all are used."""
    said = mixes.make(cache, TINY, tmp_path, count=11)
    library = Library(cache, TINY.data, "dev")
    rows = origins(tmp_path)
    for kind, column in (("speech", "speaker"), ("noise", "noise")):
        everyone = {r.source for r in library.recordings[kind]}
        times = Counter(row[column] for row in rows)
        assert set(times) == everyone
        assert max(times.values()) - min(times.values()) <= 1
    voices, noises = (len({row[column] for row in rows}) for column in ("speaker", "noise"))
    assert said.startswith(f"11 pairs of {voices} voices, {noises} noises, 0 rooms; dev side")


def test_a_deck_prefers_but_never_repeats():
    """Narrow voices come where a quarter wants them, and still only once in a round."""
    deck = Deck([f"s{n}" for n in range(7)] * 3, np.random.default_rng(0))
    first = frozenset({"s1", "s2"})
    rounds = [[deck.deal(first if n % 2 else frozenset()) for n in range(7)] for _ in range(20)]
    assert all(sorted(dealt) == [f"s{n}" for n in range(7)] for dealt in rounds)
    assert len({tuple(dealt) for dealt in rounds}) > 10
    assert all({"s1", "s2"} <= set(dealt[:4]) for dealt in rounds)


def test_origins_take_turns_whatever_the_number_of_their_sources():
    """A data set of a hundred voices would else be nearly all that is heard."""
    many = {f"m{n}": "many" for n in range(100)} | {"a": "one", "b": "another"}
    deck = OriginDeck(many, np.random.default_rng(0))
    dealt = [deck.deal() for _ in range(30)]
    assert Counter(many[name] for name in dealt) == {"many": 10, "one": 10, "another": 10}
    assert len({name for name in dealt if many[name] == "many"}) == 10

    deck.discard("a")
    assert "one" not in {many[deck.deal()] for _ in range(10)}


def test_references_with_noise_of_their_own_are_left_out(tmp_path):
    """Such noise counts as voice, so a system would be praised for what it leaves of it."""
    rng, rate, rows = np.random.default_rng(1), 16_000, []
    bursts = np.repeat(np.tile([1.0, 0.0], 10), rate // 2)
    for name, floor in (("clean", 1e-4), ("noisy", 2e-2)):
        sound = (0.1 * bursts + floor) * rng.standard_normal(len(bursts))
        sf.write(tmp_path / f"{name}.wav", sound, rate)
        rows.append(f"{name}.wav,speech,{name},made,CC0")
    sf.write(tmp_path / "hiss.wav", 0.1 * rng.standard_normal(rate * 9), rate)
    rows.append("hiss.wav,noise,hiss,made,CC0")
    (tmp_path / "manifest.csv").write_text(
        "\n".join(["path,kind,source_id,origin,licence", *rows]) + "\n"
    )
    prepare(tmp_path, tmp_path / "cache", rate)
    everything = replace(TINY, data=Data(rate_hz=rate, dev_share=1.0))
    for name, least_db in (("any", 0.0), ("clean", 45.0)):
        out = tmp_path / f"pairs_{name}"
        choice = Choice(least_range_db=least_db)
        mixes.make(tmp_path / "cache", everything, out, 6, snr_db=(5,), choice=choice)
        voices = Counter(row["speaker"] for row in origins(out))
        assert voices == ({"clean": 3, "noisy": 3} if name == "any" else {"clean": 6})
        for path in (out / "clean").iterdir():
            assert range_db(sf.read(path)[0], rate) > least_db


@pytest.fixture
def quiet_cache(tmp_path):
    """Three speakers: one speaks, one speaks for a sixth of the time, one hardly ever."""
    rows, rate = [], 16_000
    for name, active in (("talks", 8.0), ("pauses", 8.0), ("silent", 0.2)):
        sound = 0.1 * np.random.default_rng(3).standard_normal(8 * rate)
        if name == "pauses":
            sound = np.concatenate((sound[: 6 * rate], np.zeros(30 * rate)))
        sound[int(active * rate) :] = 0
        sf.write(tmp_path / f"{name}.wav", sound, rate)
        rows.append([f"{name}.wav", "speech", 20_000, name, "here", "CC"])
    with (tmp_path / "manifest.csv").open("w", newline="") as out:
        csv.writer(out).writerows(
            [["path", "kind", "bandwidth_hz", "source_id", "origin", "licence"], *rows]
        )
    prepare(tmp_path, tmp_path / "cache", rate)
    return tmp_path / "cache"


def test_excerpts_hold_speech(quiet_cache, tmp_path):
    """A pause is no sample of a voice, and a source without a voice is left out."""
    everything = recipe(
        tmp_path, "noise white snr=10", "dev_share = 0\ntest_share = 1\nrate_hz = 16000"
    )
    mixes.make(quiet_cache, config.load(everything), tmp_path / "out", count=12, side="test")
    for path in (tmp_path / "out/clean").iterdir():
        x = sf.read(path)[0]
        assert (np.abs(x) > 1e-3).mean() > 0.3
    assert {row["speaker"] for row in origins(tmp_path / "out")} == {"talks", "pauses"}


DAMAGE = [
    "clip -20 | packetloss 30%",
    "mic eq 12",
    "tests.train.evaluate.steps:agc | quantise 6",
    "codec opus 8",
    "rir t60=0.9 drr=-12",
    "rir t60=0.5 | noise library snr=0 | mic eq 12 | clip -15 | packetloss 10%",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_mixes_makes_can_be_scored(caches, tmp_path, damage, capsys):
    """Whatever the damage does to the level; a gain that comes later is still found."""
    command = ["mixes", str(recipe(tmp_path, damage)), "--cache", str(caches[16_000])]
    assert main([*command, "-o", str(tmp_path / "set"), "--count", "3"]) == 0
    assert "3 pairs of" in capsys.readouterr().out
    score = ["evaluate", "--data", str(tmp_path / "set"), "--kind", "music", "--baseline", "none"]
    assert main(score) == 0
    capsys.readouterr()
    path = tmp_path / "set/degraded/002.wav"
    x, rate = sf.read(path)
    sf.write(path, 0.7 * x, rate, "FLOAT")
    assert main(score) == 2
    err = capsys.readouterr().err
    assert "1 of 3 pairs cannot be scored" in err
    assert "002: the degraded sound is at" in err


def test_damage_that_keeps_the_level_states_no_other(caches, tmp_path):
    """Noise, hum and filters cannot excuse a gain: pairs.csv has exactly 0 dB for them."""
    quiet = recipe(tmp_path, "lowpass 4k..8k | hum | noise library snr=-5..5")
    mixes.make(caches[16_000], config.load(quiet), tmp_path, count=4)
    for row in origins(tmp_path):
        assert (row["gain_db"], row["lag"], row["polarity"]) == ("0.000", "0", "1")
        assert row["steps"].count("|") == 2


@pytest.mark.parametrize("name", sorted(KEEPS_LEVEL))
def test_steps_that_promise_a_level_keep_it(clips, name):
    """Such a step must never be the excuse of a wrong gain: 0 dB, in place, upright."""
    audio, rate = sf.read(clips / "clean.flac", dtype="float32")
    chain = parse(f"{name} {EXAMPLES.get(name, '')}")
    for seed in range(3):
        done = chain(audio[None, : 3 * rate], rate, np.random.default_rng(seed))
        assert done.keeps_level
        assert checks.faults(done.audio, done.reference, rate) == []
    assert not parse(f"{name} {EXAMPLES.get(name, '')} | clip -6")(
        audio[None, :rate], rate, np.random.default_rng(0)
    ).keeps_level


BROKEN = {
    "has no column 'speaker'": lambda text: text.replace("speaker", "voice", 1),
    "line 3": lambda text: text.replace(",0.000,", ",loud,", 2).replace(",loud,", ",0.000,", 1),
    "out of range": lambda text: text.replace(",0.000,", ",nan,"),
    "too short": lambda text: text[: text.rindex(",")].rpartition(",")[0] + "\n",
    "is not of these pairs": lambda text: "\n".join(text.splitlines()[:-1]) + "\n",
    "cannot be read": lambda text: text + '"open',
}


@pytest.mark.parametrize(("message", "break_it"), BROKEN.items(), ids=BROKEN)
def test_a_damaged_list_of_origins_is_one_line(cache, tmp_path, message, break_it, capsys):
    """A gain that is not a number would excuse every gain."""
    mixes.make(cache, TINY, tmp_path, count=3)
    path = tmp_path / "pairs.csv"
    path.write_text(break_it(path.read_text()))
    score = ["evaluate", "--data", str(tmp_path), "--kind", "music", "--baseline", "none"]
    assert main(score) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "pairs.csv" in err
    assert len(err.splitlines()) == 1


def test_the_test_side_has_to_be_set_aside(cache, tmp_path, capsys):
    """Without a share of its own it is empty; the error says what fills it."""
    command = ["mixes", str(RECIPES / "tiny.toml"), "--cache", str(cache), "--count", "2"]
    command += ["-o", str(tmp_path / "a"), "--side", "test"]
    assert main(command) == 2
    assert "data.test_share of the recipe, set before training" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert main([*command, "--set", "data.test_share=0.5"]) == 0
    assert "test side, seed 7" in capsys.readouterr().out
    dev = {r.source for r in Library(cache, TINY.data, "dev").recordings["speech"]}
    assert not dev & {row["speaker"] for row in origins(tmp_path / "a")}
