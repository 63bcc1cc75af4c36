"""The server as replicas on a Ray cluster; the door to `ray.serve`.

Ray Serve runs the same application in each replica, and its proxy passes connections on. A
connection stays with its replica, which holds the state of the stream. If the replica is killed,
the connection breaks; the client connects again, gets another replica, and begins anew there.

The proxy reads on, whatever waits in a replica. So the replica refuses a client that sends far more
than is processed, in place of holding it back.
"""

from __future__ import annotations

import logging
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette

from ..cluster.rays import connected
from ..errors import UsageError, last_line, printable
from .access import is_loopback
from .menu import Menu
from .protocol import PATH
from .server import Server, Settings

NAME = "rtdenoise"
AHEAD_S = 60.0  # audio of a stream that may wait in a replica: 12 MB at 48 kHz
BEGIN_S = 60.0  # time in which the proxy must find the first replica
MOST_REQUESTS = 10_000  # of a replica: the application itself refuses streams, in words
QUIET = {"log_level": "ERROR", "enable_access_log": False}
_SERVERS: list[Server] = []  # that of this process, if it is a replica


def application(models: tuple[str, ...], boards: tuple[str, ...], settings: Settings) -> Starlette:
    """Return the application of a replica; its models are files of the replica's machine."""
    _SERVERS[:] = [Server(Menu(models, boards), settings)]
    return _SERVERS[0].app()


def check_hub() -> None:
    """Raise if the hub of this replica is dead, so that Ray replaces the replica."""
    if any(not server.well for server in _SERVERS):
        raise RuntimeError("the hub of this replica ended")


@contextmanager
def deployed(
    build: Callable[[], Starlette],
    replicas: int,
    host: str,
    port: int,
    address: str | None = None,
    drain_s: float = 30.0,
) -> Iterator[str]:
    """Return a context in which replicas serve; it gives the address of streams.

    Args:
        build: Function that makes the application, in each replica.
        replicas: Number of replicas; each takes a core.
        host: Address at which the proxies listen: one at the head of the cluster, or one at each
            node if it is no loopback address.
        port: Port; 0 takes a free one of this machine.
        address: The cluster; see `cluster.rays.connected`.
        drain_s: Seconds that streams get to end in.

    Raises:
        UsageError: If Ray is not installed or cannot be reached, or the replicas do not begin.
    """
    port = port or _free_port()
    with connected(address) as ray:
        serve = _serve()
        _check_cores(ray, replicas, address)
        location = "HeadOnly" if is_loopback(host) else "EveryNode"
        options = {"host": host, "port": port}
        try:
            serve.start(proxy_location=location, http_options=options, logging_config=QUIET)
            serve.run(_replicas(serve, build, replicas, drain_s), name=NAME, route_prefix="/")
        except Exception as error:
            why = last_line(error)
            with suppress(Exception):
                why = _reason(serve) or why
                serve.delete(NAME)
            raise UsageError(f"the replicas do not begin: {why}") from None
        try:
            _wait(host, port)
            yield f"ws://{host}:{port}{PATH}"
        finally:
            _end(serve, drain_s)


def _serve() -> Any:
    """Return Ray Serve, which is quiet.

    Raises:
        UsageError: If a package that it needs is not installed.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise UsageError(
            f"replicas need Ray ({error.name} is missing): pip install 'rtdenoise[cluster,serve]'"
        ) from None
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    return serve


def _end(serve: Any, drain_s: float) -> None:
    """Take the replicas away, which let their streams end before."""
    end_s = time.monotonic() + drain_s
    while True:
        try:
            serve.delete(NAME)
            return
        except TimeoutError:  # Ray waits for a minute only
            if time.monotonic() > end_s:
                return


def _replicas(serve: Any, build: Callable[[], Starlette], replicas: int, drain_s: float) -> Any:
    """Return what Ray Serve is to run."""

    class Replica:
        """A process that serves."""

        def check_health(self) -> None:
            check_hub()

    def make() -> Starlette:  # Ray knows a builder by its being a function
        return build()

    options = {
        "name": NAME,
        "num_replicas": replicas,
        "max_ongoing_requests": MOST_REQUESTS,
        "graceful_shutdown_timeout_s": drain_s,
        "graceful_shutdown_wait_loop_s": 0.5,
        "ray_actor_options": {"num_cpus": 1},
        "logging_config": QUIET,
    }
    return serve.deployment(**options)(serve.ingress(make)(Replica)).bind()


def _check_cores(ray: Any, replicas: int, address: str | None) -> None:
    """Refuse more replicas than this machine has cores; a cluster may grow."""
    cores = int(ray.cluster_resources().get("CPU", 0))
    if address is None and replicas > cores:
        raise UsageError(f"{replicas} replicas: this machine has {cores} cores, one for each")


def _reason(serve: Any) -> str:
    """Return what Ray Serve knows of why the replicas do not begin: the end of a traceback."""
    states = serve.status().applications[NAME].deployments.values()
    lines = [line for state in states for line in state.message.splitlines() if line.strip()]
    return printable(lines[-1].strip())[:300] if lines else ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return int(place.getsockname()[1])


def _wait(host: str, port: int) -> None:
    """Wait until the proxy finds a replica.

    Raises:
        UsageError: If it does not.
    """
    here = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    end_s = time.monotonic() + BEGIN_S
    while time.monotonic() < end_s:
        with suppress(OSError), urllib.request.urlopen(f"http://{here}:{port}/health", timeout=5):
            return
        time.sleep(0.2)
    raise UsageError(
        f"nothing answers at {here}:{port}: if Ray Serve ran in this cluster before, it keeps the "
        "address that it had"
    )


def on_ray(settings: Settings) -> Settings:
    """Return *settings* for a replica, which is behind a proxy that cannot hold a client back."""
    return replace(settings, most_s=AHEAD_S, holds_back=False)
