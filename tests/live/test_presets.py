"""Presets are files of the user: names, damage, and the devices of the last run."""

from __future__ import annotations

import pytest

from rtdenoise.errors import AudioError, UsageError
from rtdenoise.live import presets


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A configuration of this test alone."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return presets.config_file().parent


SETTINGS = {"in": "Mikrofon ü \"1\" \\ '2'\t", "mix": 80.5, "rate": 48_000, "residual": False}


@pytest.mark.parametrize(
    "name", ["call", "call at home", "Büro", "50%", "a.b", "x" * 60, "字" * 60]
)
def test_a_preset_is_what_was_saved_until_it_is_deleted(name):
    """Under any name that a file can have; a second one needs leave to replace it."""
    assert presets.names() == []
    presets.save(name, SETTINGS)

    assert presets.load(name) == SETTINGS
    assert presets.names() == [name]
    with pytest.raises(AudioError, match="exists"):
        presets.save(name, {})
    assert presets.load(name) == SETTINGS
    presets.save(name, {"mix": 1.0}, overwrite=True)
    assert presets.load(name) == {"mix": 1.0}
    presets.delete(name)
    assert presets.names() == []
    for gone in (presets.load, presets.delete):
        with pytest.raises(UsageError, match="There are: none"):
            gone(name)


PATHS = ["", " ", ".", "..", "../x", "a/b", "a\\b", "/x", "C:x", "-x", ".x", "x.", " x", "x "]
MARKS = ["a\nb", "a\x1b[2J", "a\0", "a\u202eb", "a\udce9", *("a" + c for c in '*?"<>|'), "x" * 61]


@pytest.mark.parametrize("name", PATHS + MARKS)
def test_a_name_that_is_a_path_or_drives_a_terminal_is_refused(name, folder):
    """Before any file is read, written or removed; the message is one line that can be printed."""
    for act in (presets.load, presets.delete, lambda n: presets.save(n, {})):
        with pytest.raises(UsageError, match="no name of a preset") as error:
            act(name)
        assert str(error.value).isprintable()
    assert not folder.exists()


@pytest.mark.parametrize(
    "data",
    [b"mix = ", b"mix 80", b"= 1", b"\xff\xfe", b"mix = 1\nmix = 2", b"a\0b", b"[" * 5000],
    ids=["no value", "no =", "no key", "not UTF-8", "twice", "NUL", "deep"],
)
def test_a_damaged_file_is_one_line_that_names_it(data):
    """A preset and the config file."""
    presets.save("call", {})
    for file, read in ((presets.preset_file("call"), lambda: presets.load("call")),
                       (presets.config_file(), presets.config)):  # fmt: skip
        file.write_bytes(data)
        with pytest.raises(UsageError) as error:
            read()
        assert str(file) in str(error.value)
        assert str(error.value).isprintable()


def test_a_file_of_an_editor_that_marks_utf8_is_read():
    """Notepad puts a byte order mark in front and ends lines with CR LF."""
    presets.save("call", {})
    presets.preset_file("call").write_bytes(b"\xef\xbb\xbfmix = 80\r\nmodel = 'speech'\r\n")

    assert presets.load("call") == {"mix": 80, "model": "speech"}


def test_a_folder_in_the_place_of_a_file_is_one_line():
    """An error of the system is told with the name."""
    presets.preset_file("call").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"cannot read .*call\.toml"):
        presets.load("call")


@pytest.mark.parametrize("text", ["mix = 80", "[liv]\nmix = 80", "live = 3"])
def test_the_config_file_holds_settings_in_the_table_live(text):
    """What stands elsewhere in it would have no effect, so it is refused."""
    presets.save("call", {})
    presets.config_file().write_text(text)
    with pytest.raises(UsageError, match=r"wanted \[live\]"):
        presets.config()
    presets.config_file().write_text("[live]\nmix = 80")
    assert presets.config() == {"mix": 80}


def test_last_devices_are_kept_beside_the_preset():
    """The user's own file is never written again; a new preset of the name starts without them."""
    file = presets.save("call", SETTINGS)
    own = file.read_bytes()
    presets.remember("call", {"in": "usb"})
    presets.remember("call", {"out": "hdmi"})

    assert presets.last_devices("call") == {"in": "usb", "out": "hdmi"}
    assert presets.last_devices("other") == {}
    assert file.read_bytes() == own
    presets.save("call", {}, overwrite=True)
    assert presets.last_devices("call") == {}
    presets.remember("call", {"in": "usb"})
    presets.delete("call")
    presets.save("call", {})
    assert presets.last_devices("call") == {}


@pytest.mark.parametrize("why", ["no folder", "damaged", "deleted", "bytes"])
def test_devices_that_cannot_be_remembered_fail_nothing(why):
    """A run that worked has worked: at most there is a warning."""
    presets.save("call", {})
    folder = presets.last_file("call").parent
    if why == "no folder":
        folder.write_text("a file in the place of the folder")
    elif why == "damaged":
        folder.mkdir()
        presets.last_file("call").write_text("in = ")
    elif why == "deleted":
        presets.delete("call")
    presets.remember("call", {"in": "usb" if why != "bytes" else "\udce9"})

    assert presets.last_devices("call") == ({"in": "usb"} if why == "damaged" else {})
