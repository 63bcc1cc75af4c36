"""Train nets side by side in the few minutes of a lent GPU: unpack, measure, train, collect.

    python3 tools/gpu_run.py check                    check that everything is here, in seconds
    python3 tools/gpu_run.py parts [unpack]           list the parts; decode them into the cache
    python3 tools/gpu_run.py smoke [what ...]         measure ms a step, memory, share of the data
    python3 tools/gpu_run.py train SECONDS [run ...]  train runs at once, for SECONDS at most

The runs are those of RUNS_TO_MAKE; without a name, `train` and `smoke` take `spectral`. `smoke`
also takes batch sizes. FROM names a model file that `adversarial` and `dereverb` begin with.

`train` starts each run as `python3 -m train fit`, or continues it, and prints its output. Every two
minutes and at the end it writes to $OUT, for each run, RUN.pt: a checkpoint with the averaged
weights alone (as RUN/checkpoint.pt, `python -m train export` reads it). It adds logs.tgz and, while
8 files and 60 MiB allow, the whole checkpoints, in pieces RUN.full.0, .1 (joined by `cat`, a run
continues from them). A run that fails is started again with safer settings, while the others
continue. The clock of the schedule, in minutes of steps, is what fits into SECONDS, or MINUTES; a
second call continues with the clock of the first.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PARTS, CACHE, RUNS, OUT = (
    Path(os.environ.get(name, default))
    for name, default in (
        ("PARTS", "/tmp/parts"),
        ("CACHE", "/dev/shm/cache"),
        ("RUNS", "/tmp/runs"),
        ("OUT", "/tmp/out"),
    )
)
BOX = "rtdenoise/models"
FROM = os.environ.get("FROM", f"{BOX}/speech.pt")
SETTINGS = os.environ.get("SET", "").split()  # for all runs: "optim.batch=64 data.seconds=2.5"


class Plan(NamedTuple):
    """A run: its recipe in train/recipes, the model that it begins with, and settings.

    Take new seeds for every run: examples depend on the seed and the step alone, and the models
    that these runs begin with have had those up to 107, 211, 311, 412, 503 and 604.
    """

    recipe: str
    start: str
    settings: list[str]

    @property
    def path(self) -> str:
        """The recipe's file."""
        return f"train/recipes/{self.recipe}.toml"


# A GPU takes larger steps than the CPU that these recipes are made for, and has a clock.
ENVELOPES = [
    "optim.batch=96", "optim.steps=0", "run.tensorboard=false", "run.dev_s=1e9",
]  # fmt: skip
# On voices of full band and without noise of their own DeepFilterNet3 was ahead: hear more of them.
FULL_BAND = ["data.narrow_weight=0.25"]
SPECTRAL = ["net.deeper=1", "optim.muon_lr=7e-4", "optim.lr=3.5e-4", *FULL_BAND]
PESQ = [
    "objective.discriminator=metric", "objective.game=metric", "objective.adversarial=0.25",
    "objective.head_start_steps=300", "objective.discriminator_lr=1e-3",
    "objective.play_share=0.06", "objective.examiners=4",
]  # fmt: skip
RUNS_TO_MAKE = {
    "spectral": Plan(
        "speech-wide",
        f"{BOX}/speech.pt",
        [*SPECTRAL, "run.seed=109"],
    ),
    "adversarial": Plan("speech-adversarial", FROM, ["run.seed=212"]),
    "metric": Plan(
        "speech-wide",
        f"{BOX}/speech.pt",
        [*SPECTRAL, "run.seed=131", *PESQ],
    ),
    "dereverb": Plan("speech-dereverb-wide", FROM, ["run.seed=312"]),
    "music": Plan("music-wide", f"{BOX}/music.pt", ["run.seed=413"]),
    "banded": Plan(
        "speech-small",
        f"{BOX}/speech-small.pt",
        ["optim.batch=128", "optim.muon_lr=2e-3", "optim.lr=1.3e-3", "run.seed=108", *FULL_BAND],
    ),
    "superres": Plan(
        "speech-superres-wide", f"{BOX}/speech-superres.pt", [*ENVELOPES, "run.seed=504"]
    ),
    "music-superres": Plan(
        "music-superres", f"{BOX}/music-superres.pt", [*ENVELOPES, "run.seed=605"]
    ),
}
ENDING_S, BEGINNING_S = 25.0, 25.0  # time that a run takes before and after its steps
SHARE = 0.96  # share of the time between that steps take; the rest saves and evaluates
HARVEST_S = 120.0  # time between two collections
PIECE = 15 << 20  # bytes of a piece; a file that comes back may have 16 MiB
MOST_FILES, MOST_BYTES = 8, 60 << 20  # of $OUT
NEEDED = ("torch", "numpy", "soundfile", "numba", "matplotlib")
GRADING = ("scipy", "pesq", "pystoi")  # of the run `metric`
BEGUN = time.time()


def say(*words: object) -> None:
    """Print *words* after the seconds since the start."""
    print(f"[{time.time() - BEGUN:5.1f}]", *words, flush=True)


def check(names: list[str], quick: bool = False) -> int:
    """Check what the runs *names* need, *quick* without torch. Returns the number of faults."""
    packages = [*NEEDED, *(GRADING if "metric" in names else [])]
    faults = [f"{name}: carry .whl" for name in packages if not find_spec(name)]
    if not quick:
        faults += _deep()
    plans = [RUNS_TO_MAKE[name] for name in names]
    needed = {path for plan in plans for path in (plan.path, plan.start)}
    faults += [f"no {path}" for path in sorted(needed) if not (ROOT / path).is_file()]
    if (CACHE / "index.json").is_file():
        sides = _sides()
        say("recordings:", dict(sides))
        kinds = {"music" if name.startswith("music") else "speech" for name in names}
        for kind in sorted(kinds | {"noise"}):
            if not sides.keys() & {f"dev {kind}", f"by hash {kind}"}:
                say(f"WARNING: no {kind} on the dev side, unless an origin is held out")
    else:
        faults.append(f"no cache in {CACHE}: gpu_run.sh parts unpack")
    free = (shutil.disk_usage(path).free >> 20 for path in ("/tmp", CACHE.parent))
    say("cores", os.cpu_count(), "free MiB", *free)
    for fault in faults:
        say("MISSING", fault)
    return len(faults)


def _sides() -> Counter[str]:
    """Count the recordings of each side and kind in the cache."""
    sys.path.insert(0, str(ROOT))
    recordings = importlib.import_module("train.data.cache").read(CACHE).recordings
    return Counter(f"{r.split or 'by hash'} {r.kind}" for r in recordings)


def _deep() -> list[str]:
    """List what is wrong with packages, GPU and sources."""
    faults = []
    for name in NEEDED:
        try:
            module = importlib.import_module(name)
            say(name, getattr(module, "__version__", ""))
        except Exception as error:
            faults.append(f"{name}: {error!r}")
    sys.path.insert(0, str(ROOT))
    try:
        import torch

        here = torch.cuda.is_available()
        say("GPU:", torch.cuda.get_device_name(0) if here else "none, so the CPU (slow)")
        importlib.import_module("train.run.loop")
        importlib.import_module("train.systems")
        model = importlib.import_module("rtdenoise.nets.torchscript").load(ROOT / FROM)
        say("train: imported; the model to begin with:", len(model.weights()), "tensors")
    except Exception as error:
        faults.append(f"train: {error!r}")
    return faults


def parts(unpack: bool) -> int:
    """Print which parts are here and, if *unpack* is set, decode them into the cache."""
    there = sorted(PARTS.glob("part*"))
    size = sum(f.stat().st_size for part in there for f in part.rglob("*") if f.is_file())
    say(f"{len(there)} parts, {size >> 20} MiB in {PARTS}:", *(part.name for part in there))
    if not unpack:
        return 0
    tools = [
        PARTS / "unpack.py",
        *(part / "unpack.py" for part in there),
        ROOT / "tools/unpack_parts.py",
    ]
    tool = next((path for path in tools if path.is_file()), None)
    if tool is None or not there:
        say("MISSING parts: carry .gpu/partNN")
        return 1
    shutil.rmtree(CACHE, ignore_errors=True)
    command = [sys.executable, str(tool), str(PARTS), str(CACHE)]
    done = subprocess.run(command, check=False).returncode
    if not done:
        _mend(CACHE / "index.json")
    say("unpacked:", *(f"{f.name} {f.stat().st_size >> 20} MiB" for f in sorted(CACHE.glob("*"))))
    return done


def _mend(path: Path) -> None:
    """Remove from the other sides what is on the training side: a leak would stop both runs."""
    index = json.loads(path.read_text())
    rows = index["recordings"]
    trained = [row for row in rows if row["split"] == "train"]
    taken = {row["source"] for row in trained} | {row["digest"] for row in trained} - {0}
    kept = [
        row for row in rows if row["split"] == "train" or not taken & {row["source"], row["digest"]}
    ]
    if len(kept) < len(rows):
        say(f"WARNING: {len(rows) - len(kept)} recordings of other sides train too: left out there")
        path.write_text(json.dumps(index | {"recordings": kept}))


def command(name: str, minutes: float, careful: int) -> list[str]:
    """Return the command of a run; *careful* counts the earlier tries."""
    plan = RUNS_TO_MAKE[name]
    changes = [*plan.settings, f"optim.minutes={minutes}", *SETTINGS]
    if careful > 1 and not (RUNS / name / "checkpoint.pt").is_file():
        changes.append("optim.batch=64")
    sets = [word for change in changes for word in ("--set", change)]
    run = ["--cache", str(CACHE), "--run", str(RUNS / name), "--from", plan.start]
    return [sys.executable, "-m", "train", "fit", plan.path, *run, *sets]


class Child:
    """One run: its process, a thread that prints the output, and up to two new tries.

    Args:
        name: Name of the run in RUNS_TO_MAKE.
        minutes: Clock of its schedule.
    """

    def __init__(self, name: str, minutes: float) -> None:
        self.name, self.minutes, self.tries, self.over = name, minutes, 0, False
        self.start()

    def start(self) -> None:
        """Start the run, or continue it."""
        env = dict(os.environ)
        if self.tries:
            env["RTDENOISE_GRU"] = "float32"
            env.pop("CUDA_MPS_PIPE_DIRECTORY", None)  # a fault of one run ends all under MPS
        self.process = subprocess.Popen(
            command(self.name, self.minutes, self.tries),
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.tries += 1
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        log, said_s = RUNS / f"{self.name}.txt", -1e9
        with log.open("a") as out:
            for line in process.stdout or ():
                out.write(line)
                out.flush()
                now = time.time() - BEGUN
                if not line[:1].isdigit() or now - said_s > 20:
                    said_s = now
                    say(f"{self.name}: {line.rstrip()}")

    def watch(self) -> None:
        """Start the run again if it failed."""
        code = self.process.poll()
        if self.over or code is None:
            return
        self.over = code == 0 or self.tries >= 3
        say(f"{self.name}: ended with {code} after {self.tries} tries")
        if not self.over:
            self.start()

    def stop(self) -> None:
        """Ask the run to save and end."""
        self.over = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)


def harvest(names: list[str]) -> None:
    """Copy the state of the runs to $OUT; a fault in this must not stop them."""
    try:
        with tarfile.open(OUT / "logs.new", "w:gz") as tar:
            for path in sorted(RUNS.rglob("*")):
                if path.suffix in (".csv", ".txt") or path.name == "curves.png":
                    tar.add(path, str(path.relative_to(RUNS)))
        (OUT / "logs.new").replace(OUT / "logs.tgz")
    except Exception as error:
        say(f"harvest of logs: {error!r}")
    for write in (_small, _pieces):  # what a model is made of before what a run continues from
        for name in names:
            path = RUNS / name / "checkpoint.pt"
            try:
                if path.is_file():
                    write(path, OUT / name)
            except Exception as error:
                say(f"harvest of {name}: {error!r}")


def _small(path: Path, out: Path) -> None:
    """Write the part of a checkpoint that `export` needs."""
    import torch

    saved = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    saved["system"] = {"average": {k: v.clone() for k, v in saved["system"]["average"].items()}}
    torch.save(saved, out.with_suffix(".new"))
    out.with_suffix(".new").replace(out.with_suffix(".pt"))


def _pieces(path: Path, out: Path) -> None:
    """Write a whole checkpoint, in files that are small enough, if $OUT has room for it."""
    for old in OUT.glob(f"{out.name}.full.*"):
        old.unlink()
    content, there = path.read_bytes(), [f.stat().st_size for f in OUT.iterdir()]
    starts = range(0, len(content), PIECE)
    if len(there) + len(starts) > MOST_FILES or sum(there) + len(content) > MOST_BYTES:
        return
    for number, at in enumerate(starts):
        out.with_suffix(f".full.{number}").write_bytes(content[at : at + PIECE])


def _clock(name: str, seconds: float) -> float:
    """Return the minutes of steps of a run in all; one that continues keeps those it began with."""
    plan = RUNS / f"{name}.minutes.txt"
    minutes = max(0.1, SHARE * (seconds - BEGINNING_S - ENDING_S) / 60)
    if plan.is_file():
        minutes = float(plan.read_text())
    minutes = round(float(os.environ.get("MINUTES", minutes)), 3)
    plan.write_text(str(minutes))
    return minutes


def train(seconds: float, names: list[str]) -> int:
    """Train runs in parallel, for *seconds* at most."""
    children = [Child(name, _clock(name, seconds)) for name in names]
    say(*(f"{child.name}: {child.minutes:.2f} minutes of steps in all." for child in children))

    def stop(*_: Any) -> None:
        for child in children:
            child.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    gathered = time.time()
    end = BEGUN + seconds
    while any(child.process.poll() is None or not child.over for child in children):
        for child in children:
            child.watch()
        if time.time() > end - ENDING_S + 8:
            stop()
        if time.time() > end - 8:
            say("time is up")
            break
        if time.time() - gathered > HARVEST_S:
            gathered = time.time()
            harvest(names)
        time.sleep(0.25)
    harvest(names)
    for child in children:
        child.process.kill()
        child.reader.join(1)
    say("in $OUT:", *(f"{f.name} {f.stat().st_size / 2**20:.1f}" for f in sorted(OUT.iterdir())))
    return 0


def main(words: list[str]) -> int:
    """Run a verb of the command line and return the exit code."""
    verb = words[0] if words else "check"
    if verb == "parts":
        return parts("unpack" in words)
    rest = words[2:] if verb == "train" else words[1:]
    names = [word for word in rest if not word.isdigit()] or ["spectral"]
    if unknown := [name for name in names if name not in RUNS_TO_MAKE]:
        say(f"no run {unknown[0]}; known:", *RUNS_TO_MAKE)
        return 2
    faults = check(names, quick=verb == "train")
    if faults or verb == "check":
        return faults
    if verb == "train":
        return train(float(words[1]), names)
    sys.path.insert(0, str(ROOT / "tools"))
    smoke = importlib.import_module("gpu_smoke")
    batches = [int(word) for word in rest if word.isdigit()]
    plans = {name: RUNS_TO_MAKE[name] for name in names}
    smoke.measure_all(
        CACHE, {n: (p.path, [*p.settings, *SETTINGS]) for n, p in plans.items()}, batches
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
