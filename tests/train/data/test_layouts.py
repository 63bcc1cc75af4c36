"""Layouts of data sets: told from each other, and nothing left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtdenoise.errors import UsageError
from tests.train.sets import make_sound
from train.data.cache import read
from train.data.layouts import find
from train.data.prepare import prepare
from train.data.sources import speaker

RATE = 16_000


TREES = {
    "maestro": ["2004/a.wav", "2006/b.wav"],
    "voicebank": [
        "clean_trainset_28spk_wav/p226_001.wav", "noisy_trainset_28spk_wav/p226_001.wav",
        "clean_testset_wav/p232_001.wav", "noisy_testset_wav/p232_001.wav",
    ],
    "dns": [
        "clean_fullband/read_speech/book_02972_chp_0050_reader_02616_19.wav",
        "clean_fullband/read_speech/book_00007_chp_0008_reader_01326_9.wav",
        "clean_fullband/vctk_wav48_silence_trimmed/p225/p225_001_mic1.wav",
        "clean_fullband/spanish/SLR61_es_ar_female_arf_06592_00774535859.wav",
        "noise_fullband/fan_Freesound_validated_361372_1.wav",
        "noise_fullband/fan_Freesound_validated_361372_19.wav",
        "noise_fullband/freesound_000/J3kchZ5UAg.wav", "impulse_responses/x.wav",
    ],
    "vctk": [
        "wav48_silence_trimmed/p225/p225_001_mic1.flac",
        "wav48_silence_trimmed/s5/s5_001_mic2.flac",
    ],
    "librispeech": ["train-clean-100/19/198/19-198-0.flac", "dev-clean/84/121/84-121-0.flac"],
    "pairs": [
        "clean/a.wav", "noisy/a.wav", "clean/alone.wav",
        "clean/p226_001.wav", "noisy/p226_001.wav",
    ],
    "folders": [
        "speech/anna/1.wav", "speech/anna/2.wav", "noise/rain.wav",
        "speech/LibriTTS/dev-clean/84/121/84_121_000001_000000.wav",
    ],
    "plain": ["anna/1.wav", "bert.wav", ".hidden.wav", "mls/by_book/female/ezwa/book/x_01.wav"],
}  # fmt: skip


EXPECTED = {
    "maestro": {("music", "maestro:a", "train", False), ("music", "maestro:b", "test", False)},
    "voicebank": {("speech", "p226", "", True), ("speech", "p232", "test", True)},
    "dns": {
        ("speech", "speech:reader_02616", "", False), ("speech", "speech:reader_01326", "", False),
        ("speech", "speech:p225", "", False), ("speech", "speech:arf_06592", "", False),
        ("noise", "noise:fan_Freesound_validated_361372", "", False),
        ("noise", "noise:freesound_000/J3kchZ5UAg", "", False),
    },
    "vctk": {("speech", "vctk:p225", "", False), ("speech", "vctk:s5", "", False)},
    "librispeech": {("speech", "libri:19", "train", False), ("speech", "libri:84", "dev", False)},
    "pairs": {("speech", "a", "", True), ("speech", "p226", "", True)},
    "folders": {
        ("speech", "speech:anna", "", False), ("noise", "noise:rain", "", False),
        ("speech", "speech:84", "", False),
    },
    "plain": {
        ("speech", "anna", "", False), ("speech", "bert", "", False), ("speech", "ezwa", "", False),
    },
}  # fmt: skip


@pytest.mark.parametrize("layout", TREES)
def test_a_layout_is_told_and_finds_what_it_should_and_nothing_else(layout, tmp_path):
    """Kinds, sources, the data set's own splits, twins."""
    for number, name in enumerate(TREES[layout]):
        make_sound(tmp_path / name, seed=number)
    if layout == "maestro":
        (tmp_path / "maestro-v3.0.0.csv").write_text(
            "canonical_composer,split,audio_filename\nBach,train,2004/a.wav\nBach,test,2006/b.wav\n"
        )
    found = find(tmp_path)

    assert {(f.kind, f.source, f.split, bool(f.degraded)) for f in found} == EXPECTED[layout]
    assert found == find(tmp_path, layout)
    prepare(tmp_path, tmp_path / "cache", RATE)
    assert len(read(tmp_path / "cache").recordings) == len(found)


@pytest.mark.parametrize(
    ("layout", "kind", "message"),
    [("tarball", "speech", "known: auto, manifest"), ("plain", "song", "known: speech, noise")],
)
def test_unknown_names_list_the_known_ones(layout, kind, message, tmp_path):
    """So that nobody has to look them up."""
    with pytest.raises(UsageError, match=message):
        find(tmp_path, layout, kind)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("corpus/p225/p225_001.wav", "p225"),
        ("VCTK-Corpus-0.92/wav48/p226/p226_001_mic1.flac", "p226"),
        ("Libri/train-clean-100/19/198/19-198-0001.flac", "19"),
        ("LibriTTS/train/19/198/19_198_000000_000002.wav", "19"),
        ("mls_german/train/audio/1054/1599/1054_1599_000000.flac", "1054"),
        ("1001_DFA_ANG_XX.wav", "1001"),
        ("fr/by_book/male/bernard/wavs/l_ile_mysterieuse_2_06_f000145.wav", "bernard"),
        ("corpus/anna/anna_01.wav", "anna"),
        ("anna/2020/01.wav", "anna"),
        ("anna/session_2/take_7.wav", "anna"),
        ("2020-11-27.wav", "2020-11-27"),
        ("interview_1.wav", "interview_1"),
    ],
)
def test_the_speaker_is_read_from_names_and_folders(path, source):
    """Where neither tells, the first folder is one source: no voice gets on both sides."""
    assert speaker(Path("/data") / path, Path("/data")) == source


WORDS = {
    "train": ["train", "training", "Train", " TRAINING "],
    "dev": ["dev", "valid", "validation", "val", "Validation", "development"],
    "test": ["test", "eval", "evaluation", "testing", "TEST"],
    "": ["", " "],
}


@pytest.mark.parametrize(("side", "word"), [(s, w) for s, words in WORDS.items() for w in words])
def test_a_split_has_many_names(side, word, tmp_path):
    """Each data set has its own word for its sides."""
    (tmp_path / "manifest.csv").write_text(f"path,split\na.wav,{word}\n")
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "manifest.jsonl").write_text(json.dumps({"path": "a", "split": word}))

    assert [find(folder)[0].split for folder in (tmp_path, tmp_path / "json")] == [side, side]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.csv", b"path,split\na.wav,train\nb.wav,tran\n", "line 3: the split 'tran'.*val"),
        ("manifest.csv", b"path,split\na.wav,0\n", "the split '0' is unknown"),
        ("manifest.csv", b"path,bandwidth_hz\na.wav,wide\n", "bandwidth_hz = 'wide'"),
        ("manifest.csv", b"path,bandwidth_hz\na.wav,nan\n", "bandwidth_hz = 'nan'"),
        ("manifest.csv", b"path,bandwidth_hz\na.wav,-1\n", "bandwidth_hz = '-1'"),
        ("manifest.csv", b"path,kind,split\na.wav,speech,train\nb.wav,spe", "line 3: wanted 3 val"),
        ("manifest.csv", b"path,kind\na.wav,speech,7\n", "line 2: wanted 2 values"),
        ("manifest.csv", b"path,kind\n,speech\n", "line 2: there is no path"),
        ("manifest.csv", b'path,kind\n"a.wav,speech\n', "manifest.csv cannot be read"),
        ("manifest.csv", b"path\n\xff\xfe\x00.wav\n", "manifest.csv cannot be read"),
        ("manifest.jsonl", b'{"path": "a.wav"}\n{"path": "b.w', "manifest.jsonl cannot be read"),
        ("manifest.jsonl", b"[1]\n", "line 1: wanted a row of named values"),
        ("maestro-v3.0.0.csv", b"audio_filename,split\na.wav,x\n", "the split 'x' is unknown"),
        ("maestro-v3.0.0.csv", b"name\na.wav\n", "there is no audio_filename, split"),
    ],
)
def test_a_damaged_table_is_one_line_that_names_it(name, content, message, tmp_path):
    """And the line in it; nothing is guessed."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message) as error:
        find(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_rows_of_an_unknown_kind_are_counted(tmp_path, capsys):
    """Rooms are for other uses; a misspelt kind would be lost without a word."""
    rows = "a.wav,Speech\nb.wav,rir\nc.wav,rir\nd.wav,speach\n"
    (tmp_path / "manifest.csv").write_text(f"path,kind\n{rows}")

    assert [entry.kind for entry in find(tmp_path)] == ["speech"]
    assert "2 of kind rir, 1 of kind speach; known: speech, noise" in capsys.readouterr().out


def test_a_corpus_that_is_one_source_is_named(tmp_path, capsys):
    """Its speakers cannot be told apart, so a split would have all of them on one side."""
    for number in range(24):
        make_sound(tmp_path / "corpus" / f"{number}.wav", 0.3, seed=number)
    prepare(tmp_path, tmp_path / "cache", RATE)

    assert "24 of 24 recordings of speech are one source, corpus" in capsys.readouterr().out
