"""What the driver of an archive on Ray costs: items that do nothing, its rate and its memory.

    PYTHONPATH=. python tools/crew_soak.py [ITEMS] [SIZE] [CPUS]

A cluster of one node with CPUS (2) is made on this machine and ended again. SIZE is what the items
say of their bytes: 0 gives 16 items to a call, and a large number one.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from idle import resident_mb
from ray.cluster_utils import Cluster

from rtdenoise.cluster.items import Item, claimed
from rtdenoise.cluster.onray import OnRay
from rtdenoise.cluster.progress import Facts, Progress
from rtdenoise.cluster.work import Settings
from rtdenoise.files.results import ResultsLog
from tests.cluster.toys import Nothing


def listing(count: int, size: int) -> Iterator[Item]:
    """Yield *count* items that are nowhere."""
    for number in range(count):
        name = f"{number // 1000:06}/{number % 1000:03}.wav"
        yield Item(f"s3://from/{name}", size, f"s3://to/{name}", name)


def main(count: int = 100_000, size: int = 10**9, cpus: int = 2) -> None:
    """Run *count* items, and print what the driver needs."""
    head = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=head)

    def show(facts: Facts) -> None:
        gc.collect()
        told = f"{facts['done']:>9} items, {facts['items_per_s']:7.0f} a second"
        print(f"{told}, resident {resident_mb(os.getpid()):6.1f} MB", flush=True)

    try:
        with tempfile.TemporaryDirectory() as folder:
            log = ResultsLog(Path(folder, "log.jsonl"))
            progress = Progress(count, show=show, every_s=5.0)
            start = time.monotonic()
            items = claimed(listing(count, size), log)
            OnRay(cluster.address, Nothing)(items, Settings(), log, progress)
            print(f"{count} items in {time.monotonic() - start:.1f} s")
            progress.show()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
