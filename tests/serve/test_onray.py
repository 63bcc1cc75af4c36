"""Replicas on a local Ray cluster: a stream keeps its own, and a dead one harms no other."""

from __future__ import annotations

import json
import os
import signal
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs rtdenoise[cluster]")
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from rtdenoise.chain.effect import Denoise  # noqa: E402
from rtdenoise.serve.onray import application, deployed, on_ray  # noqa: E402
from rtdenoise.serve.protocol import END, Hello, Resume  # noqa: E402
from rtdenoise.serve.server import Settings  # noqa: E402

PATIENCE_S = 60
HELLO = Hello(48_000, format="f32", token="hush")
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:.*RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO.*:FutureWarning"),
    pytest.mark.filterwarnings(
        "ignore:Using extra keyword arguments on `Field`:DeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the pipes of Ray's own processes
]


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this machine, whose processes are its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 3, "include_dashboard": False, "object_store_memory": 80 * 2**20}
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            yield made
        finally:
            made.shutdown()


@pytest.fixture(scope="module")
def url(cluster):
    """The address of two replicas with two streams each."""
    settings = on_ray(Settings(most=2, tokens=("hush",)))
    build = partial(application, ("speech",), (), settings)
    with deployed(build, 2, "127.0.0.1", 0, cluster.address) as place:
        yield place


def replicas(cluster):
    """The processes of the replicas of *cluster*."""
    raylets = [each.process.pid for each in cluster.head_node.all_processes["raylet"]]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
        if parent in raylets and name.startswith(b"ray::ServeReplica"):
            found.append(int(folder.name))
    return found


class Client:
    """A stream that sends half of its sound, and the rest when it may."""

    def __init__(self, url, sound):
        self.ws, self.sound = connect(url, compression=None, legacy=True), sound
        self.ws.send(HELLO.text())
        self.ready = json.loads(self.ws.recv(timeout=PATIENCE_S)).get("ready")
        self.got, self.said, self.broken = bytearray(), "", threading.Event()
        self.half = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, start, stop):
        for at in range(start, stop, 960):
            self.ws.send(HELLO.encoded(self.sound[:, at : min(at + 960, stop)]))

    def read(self):
        try:
            while isinstance(message := self.ws.recv(), bytes):
                self.got += message
                if len(self.got) >= 4 * (self.sound.shape[1] // 2):
                    self.half.set()
            self.said = message
        except ConnectionClosed:
            pass
        self.broken.set()

    def out(self):
        return HELLO.decoded(bytes(self.got))[:, self.ready["latency_samples"] :]


def test_a_replica_that_is_killed_loses_what_was_in_flight(url, cluster, rng):
    """Streams of the other one go on; those of this one begin anew, and are told what is lost."""
    sounds = [(0.1 * rng.standard_normal((1, 48_000))).astype(np.float32) for _ in range(3)]
    wanted = [Denoise("speech").process(sound, 48_000) for sound in sounds]
    clients = [Client(url, sound) for sound in sounds]
    for client in clients:
        client.send(0, 24_000)
    for client in clients:
        assert client.half.wait(PATIENCE_S)

    dead, *alive = replicas(cluster)
    assert alive
    os.kill(dead, signal.SIGKILL)
    while not any(client.broken.is_set() for client in clients):
        clients[0].broken.wait(0.05)
    clients[0].broken.wait(1.0)  # those of the same replica break together
    lost = [client for client in clients if client.broken.is_set()]
    kept = [client for client in clients if client not in lost]
    assert lost
    assert kept
    for client in kept:
        client.send(24_000, 48_000)
        client.ws.send(END)
        assert client.broken.wait(PATIENCE_S)
        assert json.loads(client.said)["done"]["frames_in"] == 48_000
        at = clients.index(client)
        np.testing.assert_allclose(client.out(), wanted[at], rtol=0, atol=2e-6)
    for client in lost:
        answered = client.out()
        at = clients.index(client)
        np.testing.assert_allclose(
            answered, wanted[at][:, : answered.shape[1]], rtol=0, atol=2e-6
        )  # nothing that was answered is wrong
        missing = 24_000 - len(client.got) // 4
        again = Hello(
            48_000, format="f32", token="hush", resume=Resume(client.ready["stream"], missing)
        )
        with connect(url, compression=None) as ws:
            ws.send(again.text())
            ready = json.loads(ws.recv(timeout=PATIENCE_S))["ready"]
            assert ready["resumed"] == {"stream": client.ready["stream"], "lost": missing}
            assert ready["stream"] != client.ready["stream"]


def test_a_wrong_token_is_refused_through_the_proxy(url):
    """With the message and the code of the server."""
    with connect(url, compression=None) as ws:
        ws.send(Hello(48_000, token="wrong").text())
        assert "token" in json.loads(ws.recv(timeout=PATIENCE_S))["error"]
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=PATIENCE_S)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
