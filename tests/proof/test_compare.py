"""`compare` gives the versions of a recording, equally loud, and a page that names none of them."""

from __future__ import annotations

import json
import re
from base64 import b64decode

import numpy as np
import pytest

from rtdenoise import UsageError
from rtdenoise.cli import main
from rtdenoise.core.loudness import integrated
from rtdenoise.proof import compare, compare_page, quality
from rtdenoise.proof.compare import Part, Version, as_recorded, read_part
from rtdenoise.proof.compare_page import PEAK, equal_gains, make_page
from tests.sounds import noise, read, write
from tests.toy_nets import Smoother, save

RATE = 48_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch, request):
    """Paced hops for a moment only; and no DNSMOS, which takes seconds, unless a test is of it."""
    monkeypatch.setattr(compare, "PACED_S", 0.05)
    if "dnsmos" not in request.function.__name__:
        for module in (compare, compare_page):
            monkeypatch.setattr(module, "installed", lambda: False)


def part_of(audio, name="talk.wav"):
    return Part(name, audio, RATE, 0.0, audio.shape[1] / RATE)


def versions_of(*audios):
    return [Version(f"v{i}", "model", a, integrated(a, RATE)) for i, a in enumerate(audios)]


@pytest.fixture
def made(tmp_path, rng):
    """A recording, a model and two boards, of which one cannot run live."""
    write(tmp_path / "talk.wav", noise(rng, 1, 2 * RATE))
    save(Smoother(), tmp_path / "secretnet.pt")
    for name, kind in (("softboard", "Gain"), ("pitchboard", "PitchShift")):
        (tmp_path / f"{name}.toml").write_text(f'[[effect]]\ntype = "{kind}"\n')
    return tmp_path


@pytest.mark.parametrize(("start", "seconds"), [(0, 60), (0.5, 0.25), (1.75, 10), (1.4, 0.1)])
def test_a_part_has_the_samples_of_the_recording(tmp_path, rng, start, seconds):
    """To the sample, wherever it begins, and no more than there are."""
    audio = noise(rng, 2, 2 * RATE)
    write(tmp_path / "a.wav", audio)
    part = read_part(tmp_path / "a.wav", start, seconds)

    wanted = audio[:, round(start * RATE) : round((start + seconds) * RATE)]
    np.testing.assert_array_equal(part.audio, wanted)
    assert (part.rate, part.whole_s) == (RATE, 2.0)


def test_a_part_beyond_the_end_says_where_the_end_is(tmp_path, rng):
    """Wanted, got."""
    write(tmp_path / "a.wav", noise(rng, 1, RATE))
    with pytest.raises(UsageError, match=r"begins at 7 s, and .*a.wav has 1.00 s"):
        read_part(tmp_path / "a.wav", 7, 1)


def test_all_versions_are_equally_loud_and_none_clips(rng):
    """Whatever their levels; a peak takes all of them down, not only its own version."""
    peaky = noise(rng, 2, 3 * RATE, 0.02)
    peaky[0, 100] = 1.0
    versions = versions_of(noise(rng, 2, 3 * RATE, 0.3), noise(rng, 2, 3 * RATE, 0.001), peaky)
    out = [v.audio * np.float32(g) for v, g in zip(versions, equal_gains(versions), strict=True)]

    loud = [integrated(audio, RATE) for audio in out]
    assert loud == pytest.approx([loud[0]] * 3, abs=0.01)
    assert max(np.abs(audio).max() for audio in out) == pytest.approx(PEAK, abs=1e-4)


def test_a_silent_version_stays_silent_and_changes_no_other(rng):
    """A model that removes everything has no loudness to align."""
    audio = noise(rng, 1, 2 * RATE, 0.1)
    two, silent = versions_of(audio, np.zeros_like(audio))

    assert equal_gains([two, silent])[0] == pytest.approx(equal_gains([two])[0])
    assert np.isfinite(equal_gains([two, silent])).all()
    assert np.isfinite(equal_gains([silent])).all()


def test_the_page_names_no_version_and_loads_nothing(rng):
    """Names are read only by the program; a name cannot become part of the page."""
    audio = noise(rng, 1, RATE)
    part = part_of(audio, "</title><script>alert(1)</script>.wav")
    one = Version("secretnet", "model", 0.5 * audio, integrated(0.5 * audio, RATE))
    other = Version("b/<img src=x>", "board", audio, integrated(audio, RATE))
    made = make_page(part, [as_recorded(part), one, other], {"secretnet": "rtdenoise -m secretnet"})
    text = made.html.decode()

    assert "secretnet" not in text
    assert "img src=x" not in text
    assert "<script>alert" not in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)|https?:|@import|url\(", text)
    assert "{{" not in text


def test_versions_stand_in_another_order_in_each_page(rng):
    """The place in the file tells nothing: among 14 pages of two, each place had the input."""
    part, firsts = part_of(noise(rng, 1, 4800)), set()
    versions = [as_recorded(part), *versions_of(noise(rng, 1, 4800))]
    for _ in range(14):
        page = make_page(part, versions, {}).html.decode()
        data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
        firsts.add(json.loads(b64decode(data["versions"][0]["about"]))["kind"])

    assert firsts == {"input", "model"}


@pytest.mark.parametrize("limit", [0, 10**9])
def test_large_sounds_are_lossy_and_bring_what_was_removed(monkeypatch, rng, limit):
    """The difference of lossy sounds would be that of their losses; the page says what it has."""
    monkeypatch.setattr(compare_page, "LOSSLESS_BYTES", limit)
    part = part_of(noise(rng, 2, RATE))
    page = make_page(part, [as_recorded(part), *versions_of(0.5 * part.audio)], {})

    assert page.sound == ("FLAC at 48000 Hz" if limit else "Vorbis at 48000 Hz")
    assert (b'"removed": ""' in page.html) == bool(limit)
    assert any("lossy" in note for note in page.notes) == (not limit)


def test_many_channels_are_processed_and_heard_as_their_mean(rng):
    """A browser has no place for six; the page says so."""
    part = part_of(noise(rng, 6, RATE))
    version = as_recorded(part)

    np.testing.assert_allclose(version.audio, part.audio.mean(0, keepdims=True), atol=1e-6)
    assert any("6 channels" in note for note in make_page(part, [version], {}).notes)


def test_a_comparison_by_the_command(made, capsys):
    """A page and a row for the input, each model and each board; what cannot run live says so."""
    net, soft, pitch = (made / n for n in ("secretnet.pt", "softboard.toml", "pitchboard.toml"))
    words = ["compare", str(made / "talk.wav"), "-m", str(net), "--board", str(soft)]
    assert main([*words, "--board", str(pitch), "--seconds", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)

    assert told["page"] == str(made / "talk.compare.html")
    assert [v["kind"] for v in told["versions"]] == ["input", "model", "board", "board"]
    assert [v["name"] for v in told["versions"][1:]] == [str(net), str(soft), str(pitch)]
    assert told["seconds"] == 1
    model, board, files_only = told["versions"][1:]
    assert model["delay_ms"] == pytest.approx(1024 / 48)
    assert model["hops"]["deadline_ms"] == pytest.approx(512 / 48)
    assert {"p50_ms", "p99_ms", "verdict", "held_up"} <= model["hops"].keys()
    assert board["lufs"] - told["versions"][0]["lufs"] == pytest.approx(1.0, abs=0.01)
    assert files_only["hops"] is files_only["delay_ms"] is None
    assert model["dnsmos"] is None
    assert any("pip install onnxruntime speechmos" in note for note in told["notes"])
    html = (made / "talk.compare.html").read_bytes().decode()
    assert len(html.encode()) == told["bytes"]
    assert not re.search("secretnet|softboard|pitchboard", html)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["talk.wav", "-m", "nosuch"], 4, "In the box"),
        (["talk.wav", "--board", "nosuch.toml"], 2, "cannot read the board nosuch.toml"),
        (["talk.wav", "-m", "a", "-m", "a"], 2, "a is given twice"),
        (["talk.wav", "--seconds", "0"], 2, "--seconds 0: wanted more than 0, to 600"),
        (["talk.wav", "--start", "-1"], 2, "--start -1: wanted 0 or more"),
        (["talk.wav", "--start", "nan"], 2, "--start nan: wanted 0 or more"),
        (["talk.wav", "--board", "softboard.toml", "--start", "9"], 2, "talk.wav has 2.00 s"),
        (["-"], 2, "give -o FILE"),
        (["talk.wav", "--json", "-o", "-"], 2, "both go to stdout"),
        (["talk.wav", *[f"-m{n}" for n in range(9)]], 2, "8 at most"),
        (["nosuch.wav", "--board", "softboard.toml"], 1, "nosuch.wav"),
        (["talk.wav", "--board", "softboard.toml", "-o", "softboard.toml"], 1, "overwrite it (-f)"),
        (["talk.wav", "--board", "softboard.toml", "-o", "no/a.html"], 1, "-o FOLDER/NAME.html"),
    ],
)
def test_mistakes_are_one_line(made, monkeypatch, capsys, words, code, message):
    """Wanted, got, the choices and the fix; nothing is written."""
    monkeypatch.chdir(made)
    before = sorted(made.iterdir())
    assert main(["compare", *words]) == code

    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert sorted(made.iterdir()) == before


def test_dnsmos_is_that_of_the_equally_loud_sound(clips):
    """So that no version scores by its level."""
    pytest.importorskip("speechmos")
    pytest.importorskip("onnxruntime")
    audio = read(clips / "noisy_16k.wav")
    found = as_recorded(Part("a.wav", 0.1 * audio, 16_000, 0.0, 4.0)).scores
    level = audio[0] * 10 ** ((compare.LOUDNESS_LUFS - integrated(audio, 16_000)) / 20)

    assert found == pytest.approx(quality.dnsmos(level), abs=1e-3)
