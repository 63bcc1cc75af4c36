"""The control socket of a run: what a client may ask, and what is answered."""

from __future__ import annotations

import os
import time

import pytest

from rtdenoise.errors import AudioError, ModelError, Problem, UsageError
from rtdenoise.live.hosts import Host
from tests.toy_nets import Identity, save


def test_the_strength_is_set_and_read_back(live, host):
    """Each request changes the run, and answers with what holds from now on."""
    assert host.ask("mix", value=60) == 60.0 == live.mix
    assert host.ask("atten-lim", value=12) == 12.0 == live.atten_lim_db
    assert host.ask("atten-lim", value=None) is None is live.atten_lim_db
    assert host.ask("residual", value=True) is True is live.residual
    assert host.ask("residual") is False is live.residual
    assert host.ask("bypass", value="toggle") is True is live.bypass
    assert host.ask("bypass", value=False) is False is live.bypass
    assert host.ask("status")["mix"] == 60.0


def test_the_status_has_what_the_contract_lists(live, host):
    """TUI, panel and scripts read these keys."""
    status = host.ask("status")

    assert status["pid"] == os.getpid()
    assert (status["preset"], status["ends"]) == ("call", ["null", "null"])
    assert (status["rate"], status["channels"], status["block"]) == (48_000, 1, 512)
    assert (status["model"], status["board"]) == ("identity", None)
    assert status["delay_samples"] == 512
    assert set(status) >= {
        *("version", "bypass", "mix", "atten_lim_db", "residual", "latency_ms", "seconds"),
        *("in_db", "out_db", "p50_ms", "p99_ms", "deadline_ms", "load_percent", "xruns", "late"),
        *("dry", "failed", "gaps", "clipped", "drift_ppm", "recording", "waiting", "ended", "tap"),
    }


def test_each_client_has_its_own_peaks(live, host):
    """A meter shows the peak since its own last look, whoever else looks."""
    session = live._open.session
    with Host(os.getpid()) as other:
        before = max(one.ask("status")["seconds"] for one in (host, other))
        while session.frames / session.rate < before + 0.05:
            time.sleep(0.01)
        session._levels[:] = 0.5  # as if all blocks had been that loud
        for one in (host, other):
            assert one.ask("status")["in_db"] == pytest.approx(-6.02, abs=0.01)
        while session.frames / session.rate < before + 0.2:
            time.sleep(0.01)
        host.ask("status")
        while session.frames / session.rate < before + 0.3:
            time.sleep(0.01)
        assert host.ask("status")["in_db"] == -120.0


def test_marks_are_events(live, host):
    """With their number and time, so that a script can ask for those since its last look."""
    begun = len(live.events)
    host.ask("mark", text="it crackled")
    (event,) = host.ask("events", since=begun)
    host.ask("mark", text="again\n\x1b[2J")

    assert (event["kind"], event["number"], event["text"]) == ("mark", begun, "mark: it crackled")
    assert [one["number"] for one in host.ask("events", since=begun + 1)] == [begun + 1]


def test_quit_ends_the_run(own):
    """As Ctrl-C does."""
    with Host(os.getpid()) as host:
        host.ask("quit")

    assert own.wait(60)
    assert own.summary()["ended"] == "stopped"


def test_models_and_effects_are_listed(live, host):
    """With what a panel needs for its sliders."""
    assert "speech" in {card["name"] for card in host.ask("models")}
    effects = {effect["name"]: effect for effect in host.ask("effects")}
    mix = next(p for p in effects["Reverb"]["parameters"] if p["name"] == "room_size")
    assert (mix["low"], mix["high"]) == (0.0, 1.0)


def test_model_and_board_change_by_the_socket(own, tmp_path):
    """By name or path, by a file or its text; the answer says what runs and what the delay is."""
    path = save(Identity(), tmp_path / "net.pt", name="mine", window=2048, hop=1024)
    text = "[[effect]]\ntype = 'Gain'\ngain_db = -6\n"
    (tmp_path / "call.toml").write_text(text)
    with Host(os.getpid()) as host:
        answer = host.ask("model", value=str(path))
        assert (answer["model"], answer["board"], answer["heard"]) == ("mine", None, True)
        assert (answer["delay_samples"], answer["delay_added"]) == (1536, 1024)
        for given in (text, {"path": str(tmp_path / "call.toml")}):
            answer = host.ask("board", value=given)
            assert (answer["model"], answer["board"]) == (None, ["Gain"])
            assert (answer["delay_samples"], answer["delay_added"]) == (1536, 0)
        assert host.ask("set", path="1/gain_db", value=-9) == -9
        assert host.ask("parameters")[0]["value"] == -9
        with pytest.raises(ModelError, match="In the box") as raised:
            host.ask("model", value="nosuch")
        assert raised.value.problem is Problem.NO_MODEL
        with pytest.raises(UsageError, match="the board is not TOML"):
            host.ask("board", value="[[")
        with pytest.raises(UsageError, match="wanted a text"):
            host.ask("board", value=[])
        with pytest.raises(UsageError, match="is a board"):
            host.ask("model", value=str(tmp_path / "call.toml"))
        assert host.ask("status")["board"] == ["Gain"]
        assert [event["kind"] for event in host.ask("events")][:2] == ["changed", "delay"]
        record = host.ask("record", value=str(tmp_path / "a.wav"))
        assert host.ask("status")["recording"]["file"] == record["file"]
        assert host.ask("record", value=None)["file"] == str(tmp_path / "a.wav")
        with pytest.raises(AudioError, match="exists"):
            host.ask("record", value=str(tmp_path / "a.wav"))
        assert host.ask("status")["recording"] is None
