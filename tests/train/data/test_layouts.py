"""Layouts of data sets: told from each other, and nothing left out."""

from __future__ import annotations

import json

import pytest

from rtdenoise.errors import UsageError
from tests.train.sets import make_sound
from train.data.layouts import find
from train.data.library import INDEX
from train.data.prepare import prepare

RATE = 16_000


TREES = {
    "maestro": ["2004/a.wav", "2006/b.wav"],
    "voicebank": [
        "clean_trainset_28spk_wav/p226_001.wav", "noisy_trainset_28spk_wav/p226_001.wav",
        "clean_testset_wav/p232_001.wav", "noisy_testset_wav/p232_001.wav",
    ],
    "dns": ["clean_fullband/vctk/p1.wav", "noise_fullband/rain.wav", "impulse_responses/x.wav"],
    "librispeech": ["train-clean-100/19/198/19-198-0.flac", "dev-clean/84/121/84-121-0.flac"],
    "pairs": ["clean/a.wav", "noisy/a.wav", "clean/alone.wav"],
    "folders": ["speech/anna/1.wav", "speech/anna/2.wav", "noise/rain.wav"],
    "plain": ["anna/1.wav", "bert.wav", ".hidden.wav"],
}  # fmt: skip


EXPECTED = {
    "maestro": {("music", "maestro:a", "train", False), ("music", "maestro:b", "test", False)},
    "voicebank": {("speech", "p226", "", True), ("speech", "p232", "test", True)},
    "dns": {("speech", "speech:vctk", "", False), ("noise", "noise:rain", "", False)},
    "librispeech": {("speech", "libri:19", "train", False), ("speech", "libri:84", "dev", False)},
    "pairs": {("speech", "a", "", True)},
    "folders": {("speech", "speech:anna", "", False), ("noise", "noise:rain", "", False)},
    "plain": {("speech", "anna", "", False), ("speech", "bert", "", False)},
}


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
    index = json.loads((tmp_path / "cache" / INDEX).read_text())
    assert len(index["recordings"]) == len(found)


@pytest.mark.parametrize(
    ("layout", "kind", "message"),
    [("tarball", "speech", "known: auto, manifest"), ("plain", "song", "known: speech, noise")],
)
def test_unknown_names_list_the_known_ones(layout, kind, message, tmp_path):
    """So that nobody has to look them up."""
    with pytest.raises(UsageError, match=message):
        find(tmp_path, layout, kind)
