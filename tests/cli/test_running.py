"""What a live run does beside its sound."""

from __future__ import annotations

import sys

import pytest

from rtdenoise.cli import main, parser
from rtdenoise.cli.running import beside
from rtdenoise.cli.virtual import OTHERS, virtual_device
from rtdenoise.live import presets
from rtdenoise.live.live import Live
from tests.toy_nets import Identity, save


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """Settings and claims of this test alone."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.skipif(sys.platform in OTHERS, reason="has no virtual devices")
@pytest.mark.parametrize(
    ("words", "remembered"),
    [
        (["--virtual-mic", "--out", "speakers", "--in", "usb"], {"in": "usb"}),
        (["--incoming", "--in", "mic", "--out", "usb"], {"out": "usb"}),
        (["--in", "usb", "--out", "hdmi"], {"in": "usb", "out": "hdmi"}),
    ],
)
def test_a_virtual_device_is_not_remembered_for_a_preset(words, remembered):
    """It is gone at the next start; the other end is remembered."""
    presets.save("call", {})
    args = parser().parse_args(["live", "--preset", "call", *words])
    args = args.layers.settled(args)
    virtual_device(args)
    with beside(args):
        pass

    assert presets.last_devices("call") == remembered


@pytest.mark.parametrize(("flag", "asks"), [("-q", False), ("--json", False), ("-v", True)])
def test_a_status_that_nobody_sees_is_not_asked_for(monkeypatch, tmp_path, flag, asks):
    """It costs percentiles of all hops, ten times a second."""
    asked, status = [], Live.status

    def counted(live):
        asked.append(1)
        return status(live)

    monkeypatch.setattr(Live, "status", counted)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    model = save(Identity(), tmp_path / "net.pt")
    run = ["live", "--in", "null", "--out", "null", "--duration", "0.4", "-m", str(model), flag]

    assert main(run) == 0
    assert bool(asked) is asks
