"""Settings of live sound in files of the user: presets, the config file, and the last devices.

    ~/.config/rtdenoise/config.toml         [live] holds settings of every run
    ~/.config/rtdenoise/presets/NAME.toml   settings of the runs with a preset
    ~/.config/rtdenoise/last/NAME.toml      the devices that the last run with a preset was given

The files hold `setting = value`, and this module does not know which settings there are: whoever
reads them checks the names and the values.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomli_w

from ..errors import Problem, RtdenoiseError, UsageError, printable
from ..sound.pending import Pending, exists_error, make_folder
from .folders import config_folder

LIVE = "live"  # the table of config.toml that these settings are in
LONGEST_NAME = 60  # characters: a file name has 255 bytes, and a character up to four
FORBIDDEN = frozenset('/\\:*?"<>|')  # parts of paths, and what Windows has in no name
SUFFIX = ".toml"
log = logging.getLogger(__name__)


def checked_name(name: str) -> str:
    """Return *name* if a preset can have it.

    Raises:
        UsageError: If it could be a path or an option, or would not be whole on every system.

    >>> checked_name("call at home")
    'call at home'
    """
    fits = name.isprintable() and not FORBIDDEN & set(name) and len(name) <= LONGEST_NAME
    if not (fits and name and name == name.strip() and name[0] not in ".-" and name[-1] != "."):
        raise UsageError(
            f"{printable(repr(name))} is no name of a preset: wanted 1 to {LONGEST_NAME} "
            f"characters, none of {' '.join(sorted(FORBIDDEN))} and no control character, and no "
            "dot or dash first"
        )
    return name


def preset_file(name: str) -> Path:
    """Return the file of a preset, which need not exist."""
    return config_folder() / "presets" / (checked_name(name) + SUFFIX)


def config_file() -> Path:
    """Return the config file, which need not exist."""
    return config_folder() / f"config{SUFFIX}"


def last_file(name: str) -> Path:
    """Return the file of the last devices of a preset, which need not exist."""
    return config_folder() / "last" / (checked_name(name) + SUFFIX)


def names() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(file.stem for file in (config_folder() / "presets").glob(f"[!.]*{SUFFIX}"))


def load(name: str) -> dict[str, Any]:
    """Return the settings of a preset.

    Raises:
        UsageError: If there is no such preset, or its file is damaged.
    """
    settings = _read(preset_file(name))
    if settings is None:
        raise missing(name)
    return settings


def missing(name: str) -> UsageError:
    """Return the error that says that there is no preset *name*, and which there are."""
    there = ", ".join(map(printable, names())) or "none"
    return UsageError(f"there is no preset {name}. There are: {there}", Problem.NO_PRESET)


def config() -> dict[str, Any]:
    """Return the settings of the config file; without a file there are none.

    Raises:
        UsageError: If it is damaged, or has something beside its table `live`.
    """
    tables = _read(config_file()) or {}
    for key in tables:
        if key != LIVE:
            raise UsageError(f"{printable(config_file())}: {key!r} is unknown, wanted [{LIVE}]")
    settings = tables.get(LIVE, {})
    if not isinstance(settings, dict):
        raise UsageError(f"{printable(config_file())}: {LIVE!r} is no table, wanted [{LIVE}]")
    return settings


def last_devices(name: str) -> dict[str, Any]:
    """Return the devices that the last run with a preset was given; damage means none."""
    try:
        return _read(last_file(name)) or {}
    except UsageError as error:
        log.warning("the last devices are not known: %s", error)
        return {}


def save(name: str, settings: Mapping[str, Any], overwrite: bool = False) -> Path:
    """Write a preset, and forget the last devices of an older one of this name.

    Args:
        name: Name of the preset.
        settings: The settings by their names: text, numbers or truth values.
        overwrite: Whether a preset of this name may be replaced.

    Returns:
        The file of the preset.

    Raises:
        UsageError: If the name or a value cannot be written.
        AudioError: If there is such a preset already, or the file cannot be written.
    """
    file = preset_file(name)
    if file.exists() and not overwrite:
        raise exists_error(f"preset {name}")
    _write(file, settings, overwrite)
    with suppress(OSError):
        last_file(name).unlink(missing_ok=True)
    return file


def delete(name: str) -> None:
    """Remove a preset and its last devices.

    Raises:
        UsageError: If there is no such preset, or it cannot be removed.
    """
    file = preset_file(name)
    try:
        file.unlink()
        last_file(name).unlink(missing_ok=True)
    except FileNotFoundError:
        raise missing(name) from None
    except OSError as error:
        raise UsageError(f"cannot remove {printable(file)}: {error.strerror}") from None


def remember(name: str, devices: Mapping[str, str]) -> None:
    """Remember the devices that a run with a preset was given; this never raises an error.

    Args:
        name: Name of the preset.
        devices: The devices by the names of their settings; what it lacks stays as it is.
    """
    try:
        before = last_devices(name)
        after = before | dict(devices)
        if after != before and preset_file(name).exists():
            _write(last_file(name), after, overwrite=True)
    except (RtdenoiseError, OSError) as error:
        log.warning("the devices of preset %s are not remembered: %s", name, error)


def _read(file: Path) -> dict[str, Any] | None:
    """Return what a TOML file holds; None: there is no file."""
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {printable(file)}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{printable(file)} is damaged: {printable(error)}") from None


def _write(file: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Write a TOML file, whole or not at all."""
    try:
        data = tomli_w.dumps(settings).encode()
    except UnicodeEncodeError:  # the name of a file may be any bytes
        raise UsageError("a preset holds text, and the bytes of a name are not UTF-8") from None
    make_folder(file.parent)
    with Pending(file, overwrite) as pending:
        pending.path.write_bytes(data)
