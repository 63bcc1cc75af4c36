"""Real sound servers die under the command and come back: sound again, or an end in seconds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import soundfile as sf

from tests.live.sound_servers import Command, Jack, Pulse, Server, until
from tests.toy_nets import Identity, save


@pytest.fixture
def flags(tmp_path):
    """A net that is a pure delay, and a recording."""
    model = save(Identity(), tmp_path / "net.pt")
    return ["-m", str(model), "--record", str(tmp_path / "r.wav")]


def recorded_s(tmp_path) -> float:
    """Length of the recording in seconds."""
    return float(sf.info(tmp_path / "r.wav").duration)


def sounding(server: Server, device: str, *flags: str) -> Command:
    """The command on a device of *server*, from which there is sound."""
    live = Command(server, "--in", device, "--out", device, *flags)
    live.expect("latency in ms")
    live.sounds()
    return live


@pytest.mark.jack
@pytest.mark.slow
def test_jackd_is_killed_and_started_again(tmp_path, flags):
    """Closing a stream of a dead server hangs, and PortAudio's end aborts; sound all the same."""
    with Jack(tmp_path) as server:
        live = sounding(server, "system", *flags)
        for _ in range(2):
            server.kill()
            live.expect("is gone; waiting until it is back")
            server.start()
            live.expect("is back after")
            live.sounds()
        code, said = live.end()

    assert code == 0, said
    assert said.count("is gone; waiting") == said.count("is back after") == 2
    assert "a device was gone 2 times" in said
    assert recorded_s(tmp_path) > 0


@pytest.mark.jack
@pytest.mark.slow
def test_jackd_hangs_and_goes_on(tmp_path, flags):
    """A server that answers nothing is waited for as one that is dead; it is the same one then."""
    with Jack(tmp_path) as server:
        live = sounding(server, "system", *flags)
        server.server.send_signal(signal.SIGSTOP)
        live.expect("is gone; waiting until it is back")
        time.sleep(1)
        server.server.send_signal(signal.SIGCONT)
        live.expect("is back after")
        live.sounds()
        code, said = live.end()

    assert code == 0, said
    assert said.count("is gone; waiting") == said.count("is back after") == 1
    assert recorded_s(tmp_path) > 0


@pytest.mark.jack
@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_without_waiting_the_end_of_jackd_is_exit_code_3(tmp_path, flags, how):
    """Neither the exit handler of sounddevice nor a stream that never closes keeps the process."""
    with Jack(tmp_path) as server:
        live = sounding(server, "system", "--no-wait", *flags)
        server.server.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        code, said = live.end(None)

    assert code == 3, said
    assert "the sound device is gone" in said
    assert recorded_s(tmp_path) > 0


@pytest.mark.jack
@pytest.mark.slow
def test_ctrl_c_while_jackd_is_dead_ends_it(tmp_path, flags):
    """The recording is whole, and the exit code is that of any end by Ctrl-C."""
    with Jack(tmp_path) as server:
        live = sounding(server, "system", *flags)
        server.kill()
        live.expect("is gone; waiting")
        code, said = live.end()

    assert code == 0, said
    assert "a device was gone once" in said
    assert recorded_s(tmp_path) > 0


IDLE = """
import sys
from rtdenoise.live import library
from rtdenoise.live.devices import PortAudio
library.FRESH_AT_EXIT_S = 0.0  # as if the server had answered long ago
assert any(device.name == "system" for device in PortAudio().devices())
print("listed", file=sys.stderr, flush=True)
sys.stdin.readline()
sys.exit(7)
"""


@pytest.mark.jack
@pytest.mark.slow
@pytest.mark.parametrize("alive", [True, False])
def test_an_idle_client_of_jack_exits_with_its_own_code(tmp_path, alive):
    """Its end aborts if the server died; its library must stay if the server lives."""
    with Jack(tmp_path) as server:
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        child = server.spawn([sys.executable, "-c", IDLE], text=True, **pipes)
        assert child.stderr is not None
        assert "listed" in child.stderr.readline()
        if not alive:
            server.kill()
        _, said = child.communicate("go\n", timeout=60)

    assert child.returncode == 7, said


@pytest.mark.slow
def test_the_pulse_server_is_killed_and_started_again(tmp_path, flags):
    """Its devices are not even listed meanwhile."""
    with Pulse(tmp_path) as server:
        live = sounding(server, "pulse", *flags)
        server.kill()
        live.expect("is gone; waiting until it is back")
        (tmp_path / "native").unlink(missing_ok=True)
        server.start()
        live.expect("is back after")
        live.sounds()
        code, said = live.end()

    assert code == 0, said
    assert "a device was gone once" in said
    assert recorded_s(tmp_path) > 0


@pytest.mark.slow
def test_the_default_device_is_followed_by_the_server(tmp_path, flags):
    """PulseAudio moves a stream that names no sink, and one whose sink is unloaded."""

    def at(server):
        sinks = dict(
            line.split()[:2] for line in server.ask("pactl", "list", "short", "sinks").splitlines()
        )
        streams = server.ask("pactl", "list", "short", "sink-inputs").split()
        return sinks.get(streams[1]) if streams else None

    with Pulse(tmp_path) as server:
        live = sounding(server, "pulse", *flags)
        until("at first", lambda: at(server) == "first")
        server.ask("pactl", "set-default-sink", "second")
        until("at the new default", lambda: at(server) == "second")
        live.sounds()
        server.unload("second")
        until("at the one that is left", lambda: at(server) == "first")
        live.sounds()
        code, said = live.end()

    assert code == 0, said


@pytest.mark.slow
def test_the_last_sink_is_unloaded_and_loaded(tmp_path, flags):
    """The server stays; the sink and its source go, as an interface that is unplugged."""
    with Pulse(tmp_path) as server:
        live = sounding(server, "pulse", *flags)
        server.unload("second")
        server.unload("first")
        live.expect("is gone; waiting until it is back")
        server.load("first")
        live.expect("is back after")
        live.sounds()
        code, said = live.end()

    assert code == 0, said
    assert recorded_s(tmp_path) > 0


@pytest.mark.slow
def test_a_stopped_process_goes_on_without_a_word(tmp_path, flags):
    """As after the sleep of a laptop: the device was not gone."""
    with Pulse(tmp_path) as server:
        live = sounding(server, "pulse", *flags)
        live.process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        live.process.send_signal(signal.SIGCONT)
        live.sounds()
        code, said = live.end()

    assert code == 0, said
    assert "is gone" not in said
    assert recorded_s(tmp_path) > 0
