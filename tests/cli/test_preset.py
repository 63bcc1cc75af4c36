"""The options of `live` from every place that may name them, and the verb that stores them."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.cli import live, main, parser
from rtdenoise.cli.layers import Layers, variable
from rtdenoise.errors import UsageError
from rtdenoise.live import presets
from rtdenoise.live.claims import claimed
from tests.live.virtual_card import AlsaCard, needs_portaudio
from tests.toy_nets import Smoother, save


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Settings of this test alone."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "cfg"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    file = presets.config_file()
    file.parent.mkdir(parents=True)
    return file.parent


@pytest.fixture
def model(tmp_path):
    return save(Smoother(), tmp_path / "net.pt")


def settled(*words: str) -> argparse.Namespace:
    """The options of `rtdenoise live WORDS`, as a run has them."""
    args = parser().parse_args(["live", *words])
    result: argparse.Namespace = args.layers.settled(args)
    return result


OPTIONS = {
    key: action
    for key, action in parser().parse_args(["live"]).layers.options.items()
    if key != "preset"
}


def four(action: argparse.Action) -> list:
    """Values of an option as TOML has them, each unlike the one before."""
    if action.nargs == 0:
        return [True, False, True, False]
    if action.choices:
        return (list(action.choices) * 4)[:4]
    if action.type is int:
        return [1, 2, 3, 4]
    return [1.5, 2.5, 3.5, 4.5] if action.type is float else ["/a", "/b", "/c", "/d"]


def typed(key: str, value: object) -> str:
    """The word of the command line that gives *value* to an option."""
    return (
        (f"--{key}" if value else f"--no-{key}") if value in (True, False) else f"--{key}={value}"
    )


@pytest.mark.parametrize("key", [k for k in OPTIONS if not k.startswith("no-")])
def test_the_first_place_that_names_a_value_is_meant(key, monkeypatch):
    """Command line > environment > preset > last devices > config file > default, for each."""
    action, values = OPTIONS[key], four(OPTIONS[key])
    presets.save("call", {})
    words, steps = ["--preset", "call"], []

    def step(value, where):
        now = settled(*words)
        steps.append((getattr(now, action.dest), now.origins[key], value, where))

    step(action.default.value, "default")
    quote = json.dumps
    presets.config_file().write_text(f"[live]\n{key} = {quote(values[0])}\n")
    step(values[0], "config.toml")
    if key in ("in", "out"):
        presets.remember("call", {key: "usb"})
        step("usb", "last run with preset call")
    presets.preset_file("call").write_text(f"{key} = {quote(values[1])}\n")
    step(values[1], "preset call")
    monkeypatch.setenv(variable(key), str(values[2]))
    step(values[2], variable(key))
    words.append(typed(key, values[3]))
    step(values[3], "command line")

    for value, where, wanted, place in steps:
        assert (value, where) == (wanted, place)
        assert type(value) is type(wanted)


def test_every_option_of_live_may_be_stored():
    """All but --help, -v and --preset itself; the others would be lost in silence."""
    live_parser = argparse.ArgumentParser()
    live.add_settings(live_parser)
    known = {o for a in live_parser._actions for o in a.option_strings if o.startswith("--")}

    assert known - {"--help"} == {f"--{key}" for key in OPTIONS}


def test_help_still_shows_the_defaults(capsys):
    """The mark on a default is not seen."""
    with pytest.raises(SystemExit):
        main(["live", "--help"])
    out = capsys.readouterr().out
    assert re.search(r"--model.*?\(default:\s+speech\)", out, re.DOTALL)
    assert "Default" not in out
    assert "--no-residual" not in out
    assert " --wait" not in out


def test_a_flag_that_begins_with_no_is_switched_off_by_the_rest_of_its_name(monkeypatch):
    """On the command line, and in every other place by false."""
    presets.save("call", {"no-wait": True})

    assert settled("--preset", "call").no_wait is True
    assert settled("--preset", "call", "--wait").no_wait is False
    monkeypatch.setenv("RTDENOISE_NO_WAIT", "0")
    assert settled("--preset", "call").no_wait is False
    assert settled("--preset", "call", "--no-wait").no_wait is True


@pytest.mark.parametrize("chooses", ["environment", "config file"])
def test_a_preset_may_be_chosen_without_the_command_line(chooses, monkeypatch):
    """RTDENOISE_PRESET, or preset = "..." in the config file; but no preset chooses another."""
    presets.save("call", {"mix": 50.0})
    presets.save("two", {"preset": "call"})
    if chooses == "environment":
        monkeypatch.setenv("RTDENOISE_PRESET", "call")
    else:
        presets.config_file().write_text('[live]\npreset = "call"\nmix = 1')

    assert settled().mix == 50.0
    assert settled().preset == "call"
    assert settled("--preset", "call", "--mix", "60").mix == 60.0
    assert main(["live", "--preset", "two"]) == 2


def test_a_model_that_is_given_replaces_the_board_of_a_preset():
    """`live` runs a board or a model: the one that is named higher up, not always the board."""
    presets.save("call", {"board": "/b.toml", "model": "/m.pt"})

    assert settled("--preset", "call").board == "/b.toml"
    assert settled("--preset", "call", "-m", "other").board is None
    assert settled("--preset", "call", "--board", "x").model == "speech"


def other_kinds(*words: str) -> argparse.Namespace:
    """Options of kinds that few verbs have, as a run has them."""
    made = argparse.ArgumentParser()
    either = made.add_mutually_exclusive_group()
    either.add_argument("--mic", nargs="?", const="clean")
    either.add_argument("--incoming", nargs="?", const="heard")
    made.add_argument("--no-wait", action="store_true")
    made.add_argument("--keep", dest="lose", action="store_false")
    made.add_argument("--steps", type=lambda text: [int(part) for part in text.split("+")])
    made.add_argument("--preset")
    Layers(made)
    args = made.parse_args(words)
    result: argparse.Namespace = args.layers.settled(args)
    result.given = args.layers.given(args)
    return result


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (["--mic"], {"mic": True}),
        (["--mic", "x"], {"mic": "x"}),
        (["--no-wait"], {"no-wait": True}),
        (["--keep"], {"keep": True}),
        (["--steps", "1+2"], {"steps": "1+2"}),
        ([], {}),
    ],
)
def test_an_option_of_any_kind_is_stored_and_means_the_same_again(words, stored):
    """With and without a value, a flag that is false, a type of its own."""
    now = other_kinds(*words)
    assert now.given == stored
    presets.save("call", stored)
    again = other_kinds("--preset", "call")
    for name in ("mic", "incoming", "no_wait", "lose", "steps"):
        assert getattr(again, name) == getattr(now, name)


def test_of_options_that_exclude_each_other_the_one_higher_up_is_meant(monkeypatch):
    """Two of them in one place are an error, as on the command line."""
    presets.save("call", {"mic": True})
    monkeypatch.setenv("RTDENOISE_INCOMING", "x")
    assert (other_kinds("--preset", "call").mic, other_kinds().incoming) == (None, "x")
    monkeypatch.setenv("RTDENOISE_INCOMING", "true")
    assert other_kinds().incoming == "heard"
    assert other_kinds("--mic").incoming is None
    monkeypatch.setenv("RTDENOISE_MIC", "false")
    assert other_kinds("--preset", "call").incoming == "heard"
    monkeypatch.setenv("RTDENOISE_MIC", "y")
    with pytest.raises(UsageError, match="exclude each other"):
        other_kinds()


NULLS = ["--in", "null", "--out", "null"]
BAD = [
    ("mdoel = 'x'", "mdoel", "did you mean model?"),
    ("mix = 'loud'", "mix", "wanted a number, got 'loud'"),
    ("mix = true", "mix", "wanted a number, got True"),
    ("mix = [80]", "mix", "wanted a number, got [80]"),
    ("rate = 48000.0", "rate", "wanted a whole number, got 48000.0"),
    ("rate = '48000'", "rate", "wanted a whole number"),
    ("residual = 'yes'", "residual", "wanted true or false, got 'yes'"),
    ("residual = 1", "residual", "wanted true or false, got 1"),
    ("clock = 'slow'", "clock", "wanted real or fast, got 'slow'"),
    ("in = true", "in", "wanted text, got True"),
    ("in = 'a\\u0000b'".replace("'", '"'), "in", "wanted text"),
    ("board = ''", "board", "empty name"),
    ("model = 2026-11-27", "model", "wanted text"),
    ("verbose = 1", "verbose", "is no setting"),
    ("help = true", "help", "is no setting"),
    ("preset = 'x'", "preset", "is no setting"),
    ("atten_lim = 12", "atten_lim", "did you mean atten-lim?"),
    ('"a\\nb" = 1', "a\\nb", "is no setting"),
    ("[live]\nmix = 80", "live", "is no setting"),
    ("mix = ", "", "damaged"),
]


@pytest.mark.parametrize(("text", "key", "says"), BAD, ids=[f"{b[0]!r}" for b in BAD])
def test_a_wrong_setting_is_one_line_with_file_and_key(text, key, says, capsys):
    """Exit code 2, before anything is opened; in a preset and in the config file."""
    presets.save("call", {})
    for file, table in ((presets.preset_file("call"), ""), (presets.config_file(), "[live]\n")):
        if key in ("live", "preset") and table:
            continue
        file.write_text(table + text)
        assert main(["live", *NULLS, "--preset", "call"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"rtdenoise live: {file}")
        assert key in line
        assert says in line
        file.write_text("")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("MIX", "loud", "wanted a number"), ("RATE", "4.5", "wanted a whole number"),
     ("RESIDUAL", "maybe", "wanted true or false"), ("CLOCK", "slow", "real or fast"),
     ("PRESET", "../x", "no name of a preset")],
)  # fmt: skip
def test_a_wrong_variable_is_one_line_with_its_name(name, value, says, capsys, monkeypatch):
    """Exit code 2; a variable that is empty is none."""
    monkeypatch.setenv(f"RTDENOISE_{name}", value)
    assert main(["live", *NULLS]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line or name == "PRESET"
    assert says in line
    monkeypatch.setenv(f"RTDENOISE_{name}", "")
    assert settled().origins[name.lower()] == "default"


def test_a_value_out_of_range_says_which_place_it_comes_from(capsys):
    """The user did not type --block."""
    presets.save("call", {"block": -1})
    assert main(["live", *NULLS, "--preset", "call"]) == 2
    assert "--block -1 (preset call): wanted 0" in capsys.readouterr().err
    assert main(["live", *NULLS, "--block", "-2"]) == 2
    assert "--block -2: wanted 0" in capsys.readouterr().err


def test_a_run_with_a_preset_is_the_run_that_was_saved(tmp_path, clips, model, capsys, monkeypatch):
    """The same samples, from another folder too; a preset that exists is kept without --replace."""
    monkeypatch.chdir(clips)
    options = ["--in", "file:noisy.flac", "-m", os.path.relpath(model), "--mix", "70"]
    options += ["--clock", "fast", "--block", "480", "--latency", "0.02", "--no-quiet"]
    assert main(["preset", "save", "call", *options]) == 0
    assert main(["preset", "save", "call"]) == 1
    assert "--replace" in capsys.readouterr().err
    assert main(["live", "-q", *options, "--out", f"file:{tmp_path / 'a.wav'}"]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["live", "-q", "--preset", "call", "--out", "file:b.wav"]) == 0

    np.testing.assert_array_equal(sf.read(tmp_path / "a.wav")[0], sf.read(tmp_path / "b.wav")[0])
    stored = presets.load("call")
    assert Path(stored.pop("model")).samefile(model)
    assert stored == {
        "in": f"file:{clips / 'noisy.flac'}", "mix": 70.0, "clock": "fast", "block": 480,
        "latency": "0.02", "quiet": False,
    }  # fmt: skip
    assert main(["preset", "save", "call", "--replace"]) == 0
    assert presets.load("call") == {}


@pytest.mark.parametrize("flags", [["--mix", "200"], ["--block", "-1"], ["--in", " "]])
def test_what_live_would_refuse_is_not_stored(flags, capsys):
    """A preset that never runs is told when it is made."""
    assert main(["preset", "save", "call", *flags]) == 2
    assert presets.names() == []
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_show_and_v_say_where_each_value_comes_from(model, capsys, monkeypatch, caplog):
    """All of them, also those that nobody named."""
    presets.save("call", {"mix": 80.0, "duration": 0.1, "residual": False, "quiet": True})
    monkeypatch.setenv("RTDENOISE_ATTEN_LIM", "12")
    assert main(["preset", "show", "call"]) == 0
    rows = {row.split()[0]: row.split(None, 2)[1:] for row in capsys.readouterr().out.splitlines()}
    assert rows["mix"] == ["80.0", "preset call"]
    assert rows["residual"] == ["false", "preset call"]
    assert rows["atten-lim"] == ["12.0", "RTDENOISE_ATTEN_LIM"]
    assert rows["out"] == ["speakers", "default"]
    assert rows.keys() - {"#"} == OPTIONS.keys()
    with caplog.at_level("INFO", "rtdenoise"):
        assert main(["live", "-v", "--preset", "call", *NULLS, "-m", str(model)]) == 0
    assert {
        "mix = 80.0 (preset call)", "atten-lim = 12.0 (RTDENOISE_ATTEN_LIM)",
        "in = null (command line)", "clock = real (default)",
    } <= set(caplog.messages)  # fmt: skip


def test_list_and_delete(capsys):
    """The names, one a line; what is not there is said, with what is."""
    assert main(["preset", "list"]) == 0
    assert capsys.readouterr().out == ""
    for name in ("two words", "call"):
        assert main(["preset", "save", name]) == 0
    capsys.readouterr()
    assert main(["preset", "list"]) == 0
    assert capsys.readouterr().out == "call\ntwo words\n"
    assert main(["preset", "delete", "call"]) == 0
    for verb in ("preset delete", "preset show", "live --preset", "service print --preset"):
        assert main([*verb.split(), "call"]) == 2
        assert "There are: two words" in capsys.readouterr().err


RUNS = """
import sys
from rtdenoise.cli import main
from rtdenoise.live.devices import PortAudio
from rtdenoise.live.presets import last_devices

index = str(PortAudio().find("speakers", "output").index)
run = ["live", "-q", "--preset", "call", "-m", sys.argv[1], "--duration", "0.1", "--in", "null"]
for out in (["--out", "no such"], ["--out", "null"], ["--out", index], []):
    print(main([*run, *out]), last_devices("call"))
"""


def test_the_devices_of_a_run_that_worked_are_remembered(tmp_path, model, rng):
    """By name: an index is another device tomorrow. Files, null and a run that failed: not."""
    needs_portaudio()
    card = AlsaCard(tmp_path, rng.uniform(-0.5, 0.5, (1, 48_000)).astype(np.float32))
    presets.save("call", {})
    command = [sys.executable, "-c", RUNS, str(model)]
    done = subprocess.run(
        command, env=card.environment, capture_output=True, text=True, timeout=120, check=False
    )
    lasting = "{'out': 'speakers, ALSA'}"  # which the last of the runs uses

    assert done.stdout.splitlines() == ["3 {}", "0 {}", f"0 {lasting}", f"0 {lasting}"], done.stderr
    assert settled("--preset", "call").origins["out"] == "last run with preset call"


@pytest.mark.parametrize("what", ["preset", "recording", "output", "linked recording"])
def test_a_second_run_on_the_same_thing_is_refused_with_the_process(what, tmp_path, model, capsys):
    """Exit code 3 and one line, nothing is overwritten; other names work side by side."""
    file = tmp_path / "a.wav"
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    presets.save("call", {})
    kind, name, words = {
        "preset": ("preset", "call", ["--preset", "call", "--out", "null"]),
        "recording": ("recording", str(file), ["--record", str(file), "-f", "--out", "null"]),
        "output": ("recording", str(file), ["--out", f"file:{file}", "-f"]),
        "linked recording": (
            "recording", str(file), ["--record", str(tmp_path / "link/a.wav"), "--out", "null"]
        ),
    }[what]  # fmt: skip
    run = ["live", "-q", "--in", "null", "--duration", "0.1", "-m", str(model), *words]
    with claimed(kind, name):
        assert main(run) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert f"is in use by process {os.getpid()}" in line
        assert not file.exists()
        assert main([*run[:8], "--preset=", "--out", "null"]) == 0
    assert main(run) == 0
