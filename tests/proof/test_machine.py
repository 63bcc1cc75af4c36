"""What doctor finds in a system: each fact, from a folder that is like that system."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from rtdenoise.live.devices import PortAudio
from rtdenoise.proof.machine import (
    RTKIT,
    driver_findings,
    governor,
    load,
    machine_findings,
    permission,
    priority,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's files")


def touch(root, *names, text=""):
    """Make files below *root*."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    ("each", "state", "found"),
    [
        ([], "ok", "the system does not show one"),
        (["performance"] * 3, "ok", "performance on 3 cores"),
        (["powersave"] * 2, "note", "powersave on 2 cores"),
        (["performance", "schedutil"], "note", "performance on 1 cores, schedutil on 1 cores"),
    ],
)
def test_the_governor_of_every_core_is_told(tmp_path, each, state, found):
    """Only `performance` on all needs no note."""
    for core, name in enumerate(each):
        touch(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor",
              text=f"{name}\n")  # fmt: skip
    finding = governor(tmp_path)

    assert (finding.state, finding.found) == (state, found)


@linux
@pytest.mark.parametrize(
    ("denied", "state"), [(set(), "ok"), ({"pcmC0D0p"}, "note"), ({"pcmC0D0p", "pcmC0D0c"}, "bad")]
)
def test_a_card_that_this_user_may_not_use_is_named(tmp_path, denied, state):
    """All of them is bad, some are a note."""
    touch(tmp_path, "dev/snd/pcmC0D0p", "dev/snd/pcmC0D0c", "dev/snd/timer")
    finding = permission(tmp_path, lambda node: node.name not in denied)

    assert finding.state == state
    assert all(name in finding.found for name in denied)


@linux
def test_a_machine_without_a_card_is_told(tmp_path):
    """As a container is; that is no question of permission."""
    finding = permission(tmp_path)

    assert (finding.topic.value, finding.state) == ("sound cards", "note")


@linux
@pytest.mark.parametrize(
    ("rtkit", "allowed", "state"),
    [(False, False, "note"), (False, True, "ok"), (True, False, "ok"), (True, True, "ok")],
)
def test_real_time_rights_are_the_users_own_or_those_of_rtkit(tmp_path, rtkit, allowed, state):
    """With neither, any program may delay the audio thread."""
    if rtkit:
        touch(tmp_path, RTKIT)
    finding = priority(tmp_path, lambda: allowed)

    assert finding.state == state
    assert ("this user has them" in finding.found) == allowed


@pytest.mark.parametrize(("cores", "waiting", "state"), [(2, 1.4, "ok"), (2, 1.5, "note")])
def test_a_machine_with_little_left_is_busy(cores, waiting, state):
    """From seven tenths of a process that wants to run, for each core."""
    assert load(cores, waiting).state == state


def test_everything_of_this_machine_is_found():
    """One finding each, on any system."""
    assert len({finding.topic for finding in machine_findings()}) == 4


def sounddevice(devices, default=(-1, -1)):
    """A module like sounddevice, which sees *devices*: (name, inputs, outputs)."""
    names = ("name", "max_input_channels", "max_output_channels")
    usual = {
        "hostapi": 0,
        "default_samplerate": 48_000.0,
        "default_low_input_latency": 0.01,
        "default_low_output_latency": 0.01,
    }
    return SimpleNamespace(
        get_portaudio_version=lambda: (1246976, "PortAudio V19.7.0"),
        query_hostapis=lambda: [{"name": "ALSA", "devices": []}],
        _exit_handler=lambda: None,
        query_devices=lambda: [dict(zip(names, each, strict=True)) | usual for each in devices],
        default=SimpleNamespace(device=default),
    )


def test_portaudio_and_the_default_devices_are_told():
    """Its version, its host APIs, and what mic and speakers mean."""
    module = sounddevice([("Mic", 1, 0), ("Speakers", 0, 2)], (0, 1))
    version, devices = driver_findings(PortAudio(lambda: module))

    assert (version.state, version.found) == ("ok", "19.7.0 with ALSA")
    assert devices.state == "ok"
    assert devices.found == (
        "1 with inputs, 1 with outputs; default input [0] Mic, default output [1] Speakers"
    )


def test_a_machine_without_an_input_is_a_note():
    """Files and null still work."""
    version, devices = driver_findings(PortAudio(lambda: sounddevice([("Speakers", 0, 2)])))

    assert version.state == "ok"
    assert devices.state == "note"
    assert "0 with inputs" in devices.found
    assert "default input none" in devices.found
