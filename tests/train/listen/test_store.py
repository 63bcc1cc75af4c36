"""The data base of ratings."""

from __future__ import annotations

import pytest

from rtdenoise.errors import UsageError
from tests.train.listening import NAMES
from train.listen.stimuli import prepare
from train.listen.store import Store

pytest.importorskip("pyloudnorm", reason="loudness needs the eval extra")


def test_ratings_of_other_sounds_are_not_mixed(folders):
    """A data base belongs to one set of sounds and one method; the same may go on."""
    systems = {name: folders / name for name in NAMES}
    test = prepare(folders / "clean", systems, 3)
    db = folders / "r.sqlite"
    first = Store(db, "t", "acr", test)
    assert Store(db, "t", "acr", prepare(folders / "clean", systems, 3)).id == first.id
    for method, items in (("mushra", 3), ("acr", 2)):
        with pytest.raises(UsageError, match="another test"):
            Store(db, "t", method, prepare(folders / "clean", systems, items))
    (folders / "no.sqlite").write_bytes(b"this is no data base" * 100)
    with pytest.raises(UsageError, match=r"no\.sqlite"):
        Store(folders / "no.sqlite", "t", "acr", test)
