"""The connection to a Ray cluster: what cannot be one is told in a line, and at once."""

from __future__ import annotations

import socket
import sys

import pytest

from rtdenoise.cluster import rays
from rtdenoise.errors import UsageError

pytest.importorskip("ray", reason="needs rtdenoise[cluster]")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("localhost", "wanted HOST:PORT"),
        ("ray://head", "wanted HOST:PORT"),
        ("127.0.0.1:99999", "wanted HOST:PORT"),
        ("no-such-host.invalid:6379", "no Ray cluster answers at no-such-host.invalid:6379"),
        ("ray://127.0.0.1:{closed}", "no Ray cluster answers at"),
        ("127.0.0.1:{silent}", "is no Ray cluster"),
        ("ray://127.0.0.1:{silent}", "is no Ray cluster"),
    ],
)
def test_a_wrong_address_is_told_at_once(monkeypatch, address, told):
    """Ray itself tries for minutes, and ends the process."""
    monkeypatch.setattr(rays, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = {"silent": silent.getsockname()[1], "closed": closed.getsockname()[1]}
        with (
            pytest.raises(UsageError, match=told) as caught,
            rays.connected(address.format(**ports)),
        ):
            raise AssertionError("connected")
    assert "\n" not in str(caught.value)


def test_without_ray_the_extra_is_named(monkeypatch):
    """One line says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(UsageError, match=r"pip install 'rtdenoise\[cluster\]'"),
        rays.connected("127.0.0.1:6379"),
    ):
        raise AssertionError("connected")
