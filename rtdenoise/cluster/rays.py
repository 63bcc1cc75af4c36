"""The connection to a Ray cluster, wherever it is: the door to `ray`.

Ray itself tries for minutes, tells of it in pages, and may end the process. So each address is
asked before whether a Ray answers there, and what is wrong is an error of a line.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import UsageError, last_line, printable, reason_of

RAY = "ray"  # what users call the cluster that needs no address
CLIENT = "ray://"  # addresses of Ray Client, by which a machine outside the cluster reaches it
PLACE = re.compile(rf"{RAY}|({CLIENT})?[^/\s]+:\d+")  # what users may call a cluster
CONNECT_S = 5.0
QUIET = {
    # Else Ray prints what its daemons say of dead workers on stdout, where results go.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about GPUs, of which none are asked for
    "RAY_USAGE_STATS_ENABLED": "0",  # of a Ray that begins here: nothing is sent anywhere
}


@contextmanager
def connected(address: str | None, env: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Give the package ray, connected to a cluster, while a block runs.

    If this process is connected already, that connection is used, and stays.

    Args:
        address: `HOST:PORT` of a cluster that this machine is a node of, `ray://HOST:PORT` of Ray
            Client, or None: what RAY_ADDRESS names, or a Ray that runs on this machine, or one that
            begins and ends with the block.
        env: Variables of the environment of workers, beside those of their nodes.

    Raises:
        UsageError: If Ray is not installed, or the cluster cannot be reached or used.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise UsageError("Ray is not installed: pip install 'rtdenoise[cluster]'") from None
    if ray.is_initialized():  # by who calls, and theirs
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if address not in (None, "", "auto", "local"):
        _probe(address)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        try:
            ray.init(
                address or None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=None if address else False,
                runtime_env={"env_vars": dict(env)} if env else None,
            )
        except Exception as error:
            raise _refused(address, error) from None
        finally:
            with suppress(ValueError):  # this is not the main thread, and Ray took no signal
                signal.signal(signal.SIGTERM, terminate)
        yield ray
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """Find out whether something like Ray answers, as Ray itself tries for two minutes.

    Raises:
        UsageError: If nothing does.
    """
    place = address.removeprefix(CLIENT)
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UsageError(
            f"the address of Ray is {printable(address)}, wanted HOST:PORT of a cluster that this "
            f"machine is a node of, or {CLIENT}HOST:PORT for any other machine"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise UsageError(
            f"no Ray cluster answers at {printable(address)} ({reason_of(error)}). Usual are port "
            f"6379 of the head node, and {CLIENT}HOST:10001 from outside of the cluster"
        ) from None
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return
    import grpc

    with grpc.insecure_channel(place) as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_S)
        except grpc.FutureTimeoutError:
            raise UsageError(f"what answers at {printable(address)} is no Ray cluster") from None


def _refused(address: str | None, error: Exception) -> UsageError:
    """Return the error of a cluster that answers, and cannot be used."""
    where = printable(address or "this machine")
    text = " ".join(str(error).split())
    if "Version mismatch" in text or ("version" in text.lower() and "python" in text.lower()):
        return UsageError(f"the Ray cluster at {where} has other versions: {printable(text[:300])}")
    if "node" in text.lower() and "No node info" in text:
        return UsageError(
            f"this machine is no node of the Ray cluster at {where}: run this on one, or use "
            f"{CLIENT}HOST:10001 from outside"
        )
    return UsageError(f"cannot use the Ray cluster at {where}: {last_line(error)}")
