"""A VST3 plugin of our own: Debian's dpf-source and a compiler make it in seconds."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

DPF = Path("/usr/share/dpf/distrho")
SOURCE = Path(__file__).parent / "plugin"


def build(folder: Path, name: str, *flags: str, window: bool = False) -> Path:
    """Compile the plugin, with a window or without; return the path of its bundle."""
    bundle = folder / f"{name}.vst3"
    binary = bundle / "Contents" / f"{platform.machine()}-linux" / f"{name}.so"
    binary.parent.mkdir(parents=True)
    words = ["g++", "-std=c++14", "-O1", "-shared", "-fPIC", "-DDISTRHO_PLUGIN_TARGET_VST3", *flags]
    sources = [SOURCE / "LateGain.cpp", DPF / "DistrhoPluginMain.cpp"]
    if window:
        words.append("-DWITH_WINDOW")
        sources += [SOURCE / "Turns.cpp", DPF / "DistrhoUIMain.cpp"]
    paths = [f"-I{SOURCE}", f"-I{DPF}", f"-I{DPF.parent}", *map(str, sources), "-o", str(binary)]
    subprocess.run([*words, *paths, "-ldl", "-lpthread"], check=True)
    return bundle


@pytest.fixture(scope="session")
def vst3(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the bundle of "LateGain" (see its source), "Keeps" or "Window".

    The others are the same, but a reset does not clear the sound of Keeps, so that pedalboard loads
    it anew, and Window has a window.
    """
    pytest.importorskip("pedalboard")
    if platform.system() != "Linux" or not DPF.is_dir() or not shutil.which("g++"):
        pytest.skip("a VST3 plugin: apt-get install dpf-source g++")
    folder = tmp_path_factory.mktemp("vst3")
    flags = {"LateGain": [], "Keeps": ["-DKEEPS_ITS_SOUND"], "Window": []}
    return cache(lambda name: build(folder, name, *flags[name], window=name == "Window"))
