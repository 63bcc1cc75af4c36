"""Fixtures of the tests of sound files."""

from __future__ import annotations

import pytest
from mutagen import flac

from tests.sounds import noise, write
from tests.tagged import (
    TEXTS,
    picture,
)


@pytest.fixture
def audio(rng):
    return noise(rng, 2, 2001, 0.1)


@pytest.fixture
def tagged(tmp_path, audio):
    """A FLAC file with all of TEXTS and a cover."""
    write(tmp_path / "tagged.flac", audio, form="FLAC", subtype="PCM_16")
    file = flac.FLAC(tmp_path / "tagged.flac")
    file.update(TEXTS)
    file.add_picture(picture())
    file.save()
    return tmp_path / "tagged.flac"
