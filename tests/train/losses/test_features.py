"""Feature losses."""

from __future__ import annotations

import pytest

from rtdenoise.errors import UsageError
from train.losses import features


def test_a_feature_net_of_the_other_kind_is_refused(feature_files):
    """It would load, and mean nothing."""
    with pytest.raises(UsageError, match="holds a germain, but the recipe asks for a autoencoder"):
        features.load("autoencoder", str(feature_files / "germain.pt"))
