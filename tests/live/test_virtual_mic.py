"""Virtual microphones and speakers at a real PulseAudio server, which the tests start."""

from __future__ import annotations

import ctypes.util
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.cli import main
from rtdenoise.errors import DeviceError, UsageError
from rtdenoise.live import soundserver
from rtdenoise.live.soundserver import answered, make
from rtdenoise.live.tone import LEVEL, PITCH_HZ, arrival_ms
from rtdenoise.live.virtual_mic import check_title
from tests.live.pulse_server import RATE, PulseServer, needs_pulseaudio
from tests.toy_nets import Identity, save

LOUD = 0.2
LONG_S = 60  # guards against a hang


@pytest.fixture
def server(monkeypatch):
    """A server that this process and its children see, and no other."""
    needs_pulseaudio()
    with tempfile.TemporaryDirectory(prefix="pa", dir="/tmp") as folder:
        running = PulseServer(Path(folder))
        for name, value in running.variables.items():
            monkeypatch.setenv(name, value)
        for name in soundserver.VARIABLES.values():
            monkeypatch.delenv(name, raising=False)
        yield running
        running.close()


class Halves(Identity):
    """Half of what came, so that what went through it can be told from what did not."""

    def forward(self, windows, state):
        return 0.5 * windows, state


def tone(seconds: float) -> np.ndarray:
    """A tone (samples, 1) of amplitude `LOUD`."""
    steps = np.arange(round(seconds * RATE))[:, None]
    heard: np.ndarray = LOUD * np.sin(2 * np.pi * PITCH_HZ / RATE * steps)
    return heard.astype(np.float32)


def amplitude(heard: np.ndarray) -> float:
    """The median amplitude of the tone in *heard*, over windows of 20 ms."""
    parts = heard[: len(heard) // 960 * 960].reshape(-1, 960)
    turn = np.exp(-2j * np.pi * PITCH_HZ / RATE * np.arange(960))
    return float(np.median(2 * np.abs(parts @ turn) / 960))


@contextmanager
def live(*flags: object):
    """`rtdenoise live` with *flags*, once it runs: (process, the lines that it told)."""
    words = [sys.executable, "-m", "rtdenoise", "live", *map(str, flags)]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(LONG_S, running.kill)
    guard.start()
    try:
        assert running.stderr is not None
        lines = []
        for line in running.stderr:
            lines.append(line)
            if "latency in ms" in line:
                break
        yield running, "".join(lines)
    finally:
        guard.cancel()
        running.terminate()
        running.communicate()


@pytest.mark.slow
def test_a_cleaned_voice_arrives_at_the_virtual_microphone(server, tmp_path):
    """Microphone to net to the source that programs pick, which goes when the command ends.

    The user's defaults stay; and when the user makes the virtual microphone the default, the
    command still listens to the real one, or sound would go in a circle.
    """
    before = server.pactl("list", "short", "modules")
    model = save(Halves(), tmp_path / "net.pt")
    with live("--virtual-mic", "clean voice", "-m", model) as (running, told):
        assert 'virtual microphone "clean voice"' in told, told
        assert "a test tone came through it" in told
        assert "default" not in told.replace("default, ALSA", "")  # a device of that name
        assert "Description: clean voice\n" in server.pactl("list", "sources")
        assert server.pactl("get-default-source").strip() == "mic"
        assert server.pactl("get-default-sink").strip() == "speakers"
        server.pactl("set-default-source", "clean_voice")
        server.play("micfeed", tone(4))
        heard = server.record("clean_voice", 1.5)
        silent = server.record("speakers.monitor", 0.5)
        running.terminate()

        assert running.wait(LONG_S) == 0, running.stderr.read()
    assert amplitude(heard[RATE // 2 :]) == pytest.approx(LOUD / 2, rel=0.1)
    assert not silent.any()  # nothing of it goes to the real speakers
    assert server.pactl("list", "short", "modules") == before


@pytest.mark.slow
def test_what_others_send_is_cleaned_on_its_way_to_the_speakers(server, tmp_path):
    """--incoming: what a program plays on the virtual speakers comes out of the real ones."""
    before = server.pactl("list", "short", "modules")
    model = save(Halves(), tmp_path / "net.pt")
    with live("--incoming", "-m", model) as (running, told):
        assert 'virtual speakers "rtdenoise speakers"' in told, told
        server.pactl("set-default-sink", "rtdenoise_speakers")
        server.play("rtdenoise_speakers", tone(4).repeat(2, axis=1))
        heard = server.record("speakers.monitor", 1.5)
        running.terminate()

        assert running.wait(LONG_S) == 0, running.stderr.read()
    assert amplitude(heard[RATE // 2 :]) == pytest.approx(LOUD / 2, rel=0.1)
    assert server.pactl("list", "short", "modules") == before


OWNER = """
import sys
from rtdenoise.live.soundserver import make
print(make("microphone", "rtdenoise", 1, 48_000).title, flush=True)
sys.stdin.read()
"""


@contextmanager
def owner():
    """A process that holds a virtual microphone: (process, its title)."""
    words = [sys.executable, "-c", OWNER]
    held = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None
        yield held, held.stdout.readline().strip()
    finally:
        held.kill()
        held.communicate()


def test_the_next_start_removes_what_a_killed_one_left_and_nothing_else(server):
    """kill -9 leaves a device; of two owners, the living one keeps its own."""
    loaded = server.names("modules")
    with owner() as (dead, first), owner() as (_, second):
        dead.kill()
        dead.wait()
        left = server.names("sources")
        made = make("microphone", "rtdenoise", 1, RATE)
        swept = server.names("sources")
        made.remove()

        assert (first, second, made.title) == ("rtdenoise", "rtdenoise 2", "rtdenoise")
        assert {"rtdenoise", "rtdenoise_2"} <= set(left)
        assert swept.count("rtdenoise") == swept.count("rtdenoise_2") == 1
        assert "rtdenoise_2" in server.names("sources")
        assert server.names("modules") == [*loaded, "module-null-sink", "module-remap-source"]


@pytest.mark.parametrize("title", ["clean voice", "Müller, a=b; {c} #1", "Микрофон", "5", "mic"])
@pytest.mark.parametrize("role", ["microphone", "speakers"])
def test_programs_show_the_name_that_was_asked_for(server, role, title):
    """Any printable name without quotes; `mic` is the name of a device of this server."""
    made = make(role, title, 1, RATE)
    listed = made.pulse.source_list() if role == "microphone" else made.pulse.sink_list()
    shown = [device.description for device in listed]
    made.remove()

    assert made.title in shown
    assert made.title == (f"{title} 2" if title == "mic" else title)


@pytest.mark.parametrize(
    "title", ["", "  ", "Ann's", 'a"b', "a\\b", "a\nb", "x" * 61, "null", "file:x"]
)
def test_a_name_that_a_server_would_misread_is_refused(title):
    """Quotes, escapes, line ends, and what means another end."""
    with pytest.raises(UsageError, match="cannot name a virtual device"):
        check_title(title)


def test_a_device_that_the_server_makes_its_default_is_told_and_not_used_as_ours(server):
    """The user had made it the default; the server remembers that by its name."""
    first = make("microphone", "rtdenoise", 1, RATE)
    server.pactl("set-default-source", "rtdenoise")
    first.remove()
    again = make("microphone", "rtdenoise", 1, RATE)
    defaults, real = again.defaults(), dict(again.real)
    again.remove()

    assert defaults == ["rtdenoise"]
    assert real == {"output": "speakers", "input": "mic"}


def test_streams_go_round_a_virtual_device_that_is_the_default(server):
    """To the device that was the default before; if that is gone, there is none to go to."""
    made = make("microphone", "rtdenoise", 1, RATE)
    normal = made.detour("input")
    server.pactl("set-default-source", "rtdenoise")
    detour = made.detour("input")
    modules = server.pactl("list", "short", "modules").splitlines()
    (of_mic,) = (line.split()[0] for line in modules if "source_name=mic " in line)
    server.pactl("unload-module", of_mic)
    with pytest.raises(DeviceError, match="no other input device"):
        made.detour("input")
    made.remove()

    assert normal is None
    assert detour == "mic"


DEAF = """
pcm.!pulse {
    type asym
    playback.pcm { type pulse device "speakers" }
    capture.pcm { type pulse device "mic" }
    hint { show on description "pulse" }
}
"""


@pytest.mark.parametrize("fault", ["none", "muted", "deaf"])
def test_the_test_tone_tells_whether_sound_arrives(server, fault):
    """A muted device swallows it, which is an error; a plugin that is deaf to the environment, and
    plays on the real speakers, gets its stream moved.
    """
    if fault == "deaf":
        (server.folder / ".asoundrc").write_text(DEAF)
    script = f"""
import subprocess
from rtdenoise.errors import DeviceError
from rtdenoise.live import tone
from rtdenoise.live.virtual_mic import VirtualDevice
tone.LISTEN_S = {0.6 if fault == "muted" else 9}
with VirtualDevice("microphone", "a b") as mic:
    subprocess.run(["pactl", "set-source-mute", "a_b", "{int(fault == "muted")}"], check=True)
    try:
        print("arrived" if mic.test() > 0 else "")
    except DeviceError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=-1, text=True, timeout=LONG_S, check=True
    )

    assert ("did not arrive at 'a b'" if fault == "muted" else "arrived") in done.stdout


def test_a_server_that_was_started_anew_gets_the_device_again(server):
    """The next stream that is opened makes it, so that waiting for the server is enough."""
    script = """
from rtdenoise.live.devices import Wiring
from rtdenoise.live.virtual_mic import VirtualDevice
with VirtualDevice("microphone", "again") as mic:
    print("made", flush=True)
    input()
    wiring = Wiring(None, mic.find("again", "output"), 48_000, 512, (0, 1), "low")
    stream = mic.open(wiring, lambda i, o, n, t, s: o.fill(0.1))
    print("opened", flush=True)
    input()
    stream.close()
"""
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdin=-1, stdout=-1, text=True, bufsize=1) as held:
        guard = threading.Timer(LONG_S, held.kill)
        guard.start()
        assert held.stdin is not None
        assert held.stdout is not None
        assert held.stdout.readline() == "made\n"
        server.process.kill()
        server.process.wait()
        server.start()
        assert "again" not in server.names("sources")
        held.stdin.write("\n")
        assert held.stdout.readline() == "opened\n"
        heard = server.record("again", 0.3)
        held.stdin.write("\n")
        assert held.wait() == 0
        guard.cancel()

    assert heard[-1] == pytest.approx(0.1, rel=0.01)
    assert "again" not in server.names("sources")


def test_a_stuck_server_does_not_hold_the_command(server, monkeypatch):
    """Its answer is waited for, but not for ever."""
    made = make("speakers", "rtdenoise", 2, RATE)
    server.process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(soundserver, "ANSWER_S", 0.1)
    with pytest.raises(DeviceError, match="has not answered"):
        answered(made.there)


def told_by(capsys, *flags: str) -> tuple[int, str]:
    """The exit code of `rtdenoise live`, and the line on stderr."""
    try:
        code = main(["live", "--duration", "1", *flags])
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--virtual-mic", "--incoming"])
@pytest.mark.parametrize(("system", "name"), [("darwin", "BlackHole"), ("win32", "VB-Cable")])
def test_other_systems_are_told_what_to_install(capsys, monkeypatch, system, name, flag):
    """One line, exit code 2, and the command to run then."""
    monkeypatch.setattr("rtdenoise.cli.virtual.sys.platform", system)
    code, told = told_by(capsys, flag)

    assert code == 2
    assert name in told
    assert "`rtdenoise live --" in told
    assert told.count("\n") == 1


def test_without_a_server_there_is_one_line(capsys, monkeypatch, tmp_path):
    """Exit code 3, and how to start one."""
    if ctypes.util.find_library("pulse") is None:
        pytest.skip("needs libpulse: apt install libpulse0")
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    monkeypatch.setenv("PULSE_CONFIG_PATH", str(tmp_path))
    (tmp_path / "client.conf").write_text("autospawn = no\n")
    code, told = told_by(capsys, "--virtual-mic")

    assert code == 3
    assert "no PulseAudio or PipeWire server answers" in told
    assert "pulseaudio --start" in told
    assert told.count("\n") == 1


def test_without_pulsectl_there_is_one_line(capsys, monkeypatch):
    """Exit code 3, and what to install."""
    monkeypatch.setitem(sys.modules, "pulsectl", None)
    code, told = told_by(capsys, "--incoming")

    assert code == 3
    assert "pip install pulsectl" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--virtual-mic", "--out", "usb"), "--virtual-mic is the output: leave out --out usb"),
        (("--incoming", "--in", "usb"), "--incoming is the input: leave out --in usb"),
        (("--virtual-mic", "--incoming"), "not allowed with argument"),
        (("--virtual-mic", "null"), "cannot name a virtual device"),
        (("--incoming", ""), "cannot name a virtual device"),
    ],
)
def test_flags_that_make_no_sense_are_usage(capsys, flags, message):
    """Exit code 2, before a server is asked."""
    code, told = told_by(capsys, *flags)

    assert code == 2
    assert message in told


@pytest.mark.parametrize(
    ("share", "arrives"), [(1.0, True), (0.6, True), (0.4, False), (0.0, False)]
)
def test_a_tone_has_arrived_if_half_of_it_has(rng, share, arrives):
    """Among noise that is as strong as the tone; noise alone is no tone."""
    heard = rng.normal(0, LEVEL, RATE // 2) * 0.3
    at = RATE // 10
    heard[at : at + RATE // 4] += (
        share * LEVEL * np.sin(2 * np.pi * PITCH_HZ / RATE * np.arange(RATE // 4))
    )

    assert (arrival_ms(heard, RATE) is not None) is arrives
