"""A VST3 plugin of our own: Debian's dpf-source and a compiler make it in seconds."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DPF = Path("/usr/share/dpf/distrho")
SOURCE = Path(__file__).parent / "plugin"


def build(folder: Path, name: str, *flags: str) -> Path:
    """Compile the plugin; return the path of its bundle."""
    bundle = folder / f"{name}.vst3"
    binary = bundle / "Contents" / f"{platform.machine()}-linux" / f"{name}.so"
    binary.parent.mkdir(parents=True)
    words = ["g++", "-std=c++14", "-O1", "-shared", "-fPIC", "-DDISTRHO_PLUGIN_TARGET_VST3", *flags]
    sources = [SOURCE / "LateGain.cpp", DPF / "DistrhoPluginMain.cpp"]
    paths = [f"-I{SOURCE}", f"-I{DPF}", *map(str, sources), "-o", str(binary)]
    subprocess.run([*words, *paths, "-ldl", "-lpthread"], check=True)
    return bundle


@pytest.fixture(scope="session")
def vst3(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the bundle of "LateGain" (see its source) or of "Keeps".

    Keeps is the same, but a reset does not clear its sound, so that pedalboard loads it anew.
    """
    pytest.importorskip("pedalboard")
    if platform.system() != "Linux" or not DPF.is_dir() or not shutil.which("g++"):
        pytest.skip("a VST3 plugin: apt-get install dpf-source g++")
    folder = tmp_path_factory.mktemp("vst3")
    flags = {"LateGain": [], "Keeps": ["-DKEEPS_ITS_SOUND"]}
    built = {name: build(folder, name, *more) for name, more in flags.items()}
    return built.__getitem__
