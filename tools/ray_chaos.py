"""An archive on Ray whose workers, nodes and drivers are killed at random, until it is done.

    PYTHONPATH=. python tools/ray_chaos.py [ITEMS] [SEED]

A cluster of a head and two nodes with a CPU each is made on this machine. Every second or so a
worker, a node or the driver is killed with SIGKILL; a lost node comes back, and a lost driver is
started again. The tool then says what was killed, and how much was done twice, and checks that
each output is there once, with its bytes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.cluster.toys import JOURNAL

DRIVER = "import sys; from tests.cluster.toys import main; main(*sys.argv[1:])"
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def lines(path: Path, kind: str) -> list[list[str]]:
    """Return the words of the journal's lines of a kind."""
    words = [line.split() for line in path.read_text().splitlines()]
    return [each for each in words if each[0] == kind]


class Chaos:
    """The cluster, and what has been killed of it.

    Args:
        dice: Random numbers.
        journal: The journal of the toys.
    """

    def __init__(self, dice: random.Random, journal: Path) -> None:
        from ray.cluster_utils import Cluster

        self.dice, self.journal, self.killed = dice, journal, Counter[str]()
        head = {**NODE, "num_cpus": 0, "include_dashboard": False}
        self.cluster = Cluster(True, head_node_args=head)
        self.nodes = [self.cluster.add_node(**NODE) for _ in range(2)]

    def kill(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill a worker, a node or the driver, if there is a worker."""
        loads = [int(pid) for _, pid in lines(self.journal, "load")]
        there = [pid for pid in loads if Path(f"/proc/{pid}").exists()]
        if not there:
            return
        kind = self.dice.choices(("worker", "node", "driver"), (6, 1, 1))[0]
        self.killed[kind] += 1
        if kind == "worker":
            os.kill(self.dice.choice(there), signal.SIGKILL)
        elif kind == "node":
            self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)
            self.nodes.append(self.cluster.add_node(**NODE))
        else:
            driver.kill()

    def run(self, command: list[str]) -> None:
        """Run a driver again and again, until it comes to its end."""
        while True:
            with subprocess.Popen(command) as driver:
                while driver.poll() is None:
                    time.sleep(self.dice.uniform(0.5, 1.5))
                    self.kill(driver)
            if driver.returncode == 0:
                return


def main(count: int = 150, seed: int = 0) -> None:
    """Run *count* items to their end, and print what it took."""
    with tempfile.TemporaryDirectory() as place:
        folder, journal = Path(place), Path(place, "journal.txt")
        journal.touch()
        os.environ[JOURNAL] = str(journal)
        names = [f"{number}.wav" for number in range(count)]
        start, chaos = time.monotonic(), Chaos(random.Random(seed), journal)
        try:
            chaos.run([sys.executable, "-c", DRIVER, chaos.cluster.address, place, *names])
        finally:
            chaos.cluster.shutdown()
        works = Counter(line[2] for line in lines(journal, "work"))
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        made = {p.name: p.read_bytes() for p in (folder / "out").glob("[!.]*")}
        statuses = Counter(line["status"] for line in log)
        print(f"{count} items in {time.monotonic() - start:.0f} s; killed: {dict(chaos.killed)}")
        print(f"done twice: {works.total() - count}; loads: {len(lines(journal, 'load'))}")
        print(f"lines: {dict(statuses)}, of {len({line['output'] for line in log})} outputs")
        right = made == {name: (name.encode() * 9)[::-1] for name in names}
        print("every output once, with its bytes" if right else "OUTPUTS DIFFER")
        sys.exit(not right)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
