"""The folders of this user where settings and locks are; no other module imports platformdirs."""

from __future__ import annotations

import warnings
from pathlib import Path

import platformdirs

APP = "rtdenoise"


def config_folder(app: str | None = APP) -> Path:
    """Return the folder of settings: on Linux ~/.config/rtdenoise, or below $XDG_CONFIG_HOME.

    Args:
        app: Name of the program whose folder it is. None: the folder of all programs.
    """
    return platformdirs.user_config_path(app, appauthor=False)


def runtime_folder() -> Path:
    """Return the folder of what means nothing after a restart; it need not exist."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without $XDG_RUNTIME_DIR it is a folder in /tmp
        return platformdirs.user_runtime_path(APP, appauthor=False)
