"""Prepare a data set on local Ray clusters, with deaths in between, and compare the caches.

    python tools/corpus_on_ray.py DATA --rate 16000 --workers 1 2 --kills 4

It starts each cluster itself, takes the time of `prepare` with each number of workers, and then
kills a node or the driver every few seconds until the cache is whole. Every cache has to
hold what one machine makes of DATA, recording by recording.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from train.data.cache import read
from train.data.prepare import prepare

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def held(cache: Path) -> list[tuple[object, ...]]:
    """What a cache holds, in order: what the index says, and a check sum of the samples."""
    contents = read(cache)
    return [
        (r.kind, r.source, r.split, r.bandwidth_hz, zlib.crc32(contents.samples_of(r).tobytes()))
        for r in contents.recordings
    ]


def driver(args: argparse.Namespace, cache: Path, address: str) -> subprocess.Popen[bytes]:
    """A process that prepares on a cluster."""
    command = [sys.executable, "-m", "train", "prepare", str(args.data), str(cache)]
    command += ["--rate", str(args.rate), "--on", "ray"]
    env = os.environ | {"RAY_ADDRESS": address}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)


def started(count: int) -> Cluster:
    """A cluster whose head has *count* workers."""
    head = {**NODE, "num_cpus": count, "include_dashboard": False}
    return Cluster(initialize_head=True, head_node_args=head)


def timed(args: argparse.Namespace, count: int, cache: Path) -> float:
    """Seconds of `prepare` on a cluster of *count* workers that is up."""
    cluster = started(count)
    try:
        ray.init(cluster.address, log_to_driver=False, logging_level="error")
        begun = time.perf_counter()
        prepare(args.data, cache, args.rate, on="ray")
        return time.perf_counter() - begun
    finally:
        ray.shutdown()
        cluster.shutdown()


def killed(args: argparse.Namespace, cache: Path) -> dict[str, int]:
    """Prepare while nodes and the driver die; returns how many of each did."""
    deaths, rng = {"node": 0, "driver": 0}, random.Random(args.seed)
    cluster = started(1)
    try:
        node = cluster.add_node(**NODE)
        process = driver(args, cache, cluster.address)
        while process.poll() is None and sum(deaths.values()) < args.kills:
            time.sleep(rng.uniform(2, 8))
            if rng.random() < 0.5:
                cluster.remove_node(node, allow_graceful=False)
                node = cluster.add_node(**NODE)
                deaths["node"] += 1
            else:
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = driver(args, cache, cluster.address)
                deaths["driver"] += 1
        if process.wait():
            raise SystemExit(f"prepare ended with {process.returncode}")
    finally:
        cluster.shutdown()
    return deaths


def main() -> None:
    """Print times, sizes and deaths, or end with an error."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--rate", type=int, default=48_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    root = Path(tempfile.mkdtemp(prefix="corpus_on_ray"))
    try:
        begun = time.perf_counter()
        prepare(args.data, root / "here", args.rate, jobs=1)
        print(f"here, 1 thread: {time.perf_counter() - begun:.1f} s, load {os.getloadavg()[0]:.1f}")
        wanted = held(root / "here")
        for count in args.workers:
            seconds = timed(args, count, root / str(count))
            same = held(root / str(count)) == wanted
            print(f"{count} workers: {seconds:.1f} s, load {os.getloadavg()[0]:.1f}, equal: {same}")
        if args.kills:
            deaths = killed(args, root / "killed")
            print(f"killed: {deaths}, equal: {held(root / 'killed') == wanted}")
        for cache in sorted(root.iterdir()):
            size = sum(path.stat().st_size for path in cache.rglob("*.i16"))
            parts = len(list(cache.glob("parts/*")))
            print(f"{cache.name}: {len(wanted)} recordings, {size / 1e6:.1f} MB, {parts} parts")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
