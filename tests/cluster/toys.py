"""Work for tests of engines: it keeps a journal, and does what the name of its input says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from rtdenoise.cluster.items import Item, claimed
from rtdenoise.cluster.onray import OnRay
from rtdenoise.cluster.progress import Progress
from rtdenoise.cluster.work import Settings
from rtdenoise.errors import ModelError
from rtdenoise.files.results import Line, ResultsLog

JOURNAL = "RTDENOISE_TEST_JOURNAL"  # a file: "load PID" and "work PID NAME" of all processes
PACE_S = 0.15  # of an item in seconds


def journal(text: str) -> None:
    """Append a line to the journal, as one write, so that processes do not mix theirs."""
    with Path(os.environ[JOURNAL]).open("ab", buffering=0) as file:
        file.write(f"{text}\n".encode())


class Toy:
    """Write the bytes of the input backwards; "poison" ends the process, "slow" takes for ever."""

    def __init__(self, settings: Settings) -> None:
        if settings.model == "none":
            raise ModelError("there is no model none")
        journal(f"load {os.getpid()}")

    def __call__(self, item: Item) -> Line:
        name = Path(item.source).name
        journal(f"work {os.getpid()} {name}")
        if "poison" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(3600 if "slow" in name else PACE_S)
        if "bug" in name:
            raise KeyError(name)
        target = Path(item.target)
        part = target.with_name(f".{target.name}.{os.getpid()}")
        part.write_bytes(Path(item.source).read_bytes()[::-1])
        part.replace(target)
        return {"input": item.source, "output": item.target, "status": "done", "seconds": 1.0}


class Nothing:
    """Work that does nothing, to see what the driver costs."""

    def __init__(self, settings: Settings) -> None:
        pass

    def __call__(self, item: Item) -> Line:
        return {"input": item.source, "output": item.target, "status": "done", "seconds": 1.0}


def items(folder: Path, names) -> list[Item]:
    """Return items in *folder*, whose inputs are made; each is alone in a call."""
    made = []
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    for name in names:
        source = folder / "in" / name
        source.write_bytes(name.encode() * 9)
        made.append(Item(str(source), None, str(folder / "out" / name), name))
    return made


def main(address: str, folder: str, *names: str) -> None:
    """Be a driver: toys on items that the log does not know to be done."""
    log = ResultsLog(Path(folder, "log.jsonl"))
    todo = claimed(items(Path(folder), names), log)
    rest = (item for item in todo if item.known.status != "done")
    OnRay(address, Toy)(rest, Settings(), log, Progress())
    log.merge()
