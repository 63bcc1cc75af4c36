"""Two devices with two clocks: no sample is lost, and the delay stays, for hours.

All of it is simulated: the devices' time is a number, so an hour passes in seconds.
"""

from __future__ import annotations

import heapq
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.core.resample import Converter, converter_lag
from rtdenoise.live.channels import Inlet, first
from rtdenoise.live.clockring import JOIN, ClockRing
from rtdenoise.live.clocks import LIMIT, SLEW_PER_S, DeviceClock, TwoClocks
from rtdenoise.live.devices import Device
from rtdenoise.live.pairing import share_clock
from tests.live.virtual_card import needs_portaudio
from tests.toy_nets import Identity, save

MARGIN_S = 0.01
NEVER = (0.0, 0.0)


def steady(ppm: float) -> Callable[[float], float]:
    return lambda _time_s: ppm


class Timetable:
    """The times at which two devices call, each by a clock of its own, and each a little late.

    Args:
        rates: Nominal sample rates of input and output in Hz.
        blocks: Samples of their callbacks.
        drift: Function from the time in s to how much faster the input is, in ppm.
        late_s: Longest time that a call is late.
        hole: Time in s and length in s of a gap in which the input loses samples.
        stall: Time in s and length in s of a gap in which the output does not play.
    """

    def __init__(
        self,
        rates: tuple[int, int] = (48_000, 48_000),
        blocks: tuple[int, int] = (512, 512),
        drift: Callable[[float], float] = lambda _time_s: 0.0,
        late_s: float = 0.004,
        hole: tuple[float, float] = NEVER,
        stall: tuple[float, float] = NEVER,
    ) -> None:
        self.rates, self.blocks, self.drift, self.late_s = rates, blocks, drift, late_s
        self.gaps = [hole, stall]

    def _device(self, end: int) -> Iterator[tuple[float, int, float]]:
        """Yield (time in s, *end*, time if it were not late) of every call, in order."""
        rng, time_s, called_s = np.random.default_rng(end), 0.013 * (end + 1), 0.0
        period_s = self.blocks[end] / self.rates[end]
        at_s, length_s = self.gaps[end]
        late = np.concatenate((rng.uniform(0, self.late_s, 4096), np.zeros(1)))
        turn = 0
        while True:
            called_s = max(called_s, time_s + late[turn % len(late)])
            yield called_s, end, time_s
            turn += 1
            time_s += period_s / (1 + 1e-6 * self.drift(time_s)) if end == 0 else period_s
            if length_s and time_s > at_s:
                time_s, length_s = time_s + length_s, 0.0

    def until(self, end_s: float) -> Iterator[tuple[float, int, float]]:
        """Yield (time in s, 0 for the input or 1 for the output, its time by its own clock)."""
        for call in heapq.merge(self._device(0), self._device(1)):
            if call[0] > end_s:
                return
            yield call


def simulate(table: Timetable, end_s: float) -> dict[str, np.ndarray]:
    """Run `TwoClocks` over *table*, with counts instead of samples; what each output call saw."""
    target = table.blocks[0] * table.rates[1] // table.rates[0] + round(MARGIN_S * table.rates[1])
    clocks = TwoClocks(table.rates, target, round(MARGIN_S * table.rates[1]))
    exact, written, seen, heard_s = 0.0, 0, [], 0.0
    for time_s, end, own_s in table.until(end_s):
        if end == 0:
            heard_s = own_s
            exact += table.blocks[0] * clocks.heard(time_s, table.blocks[0])
            clocks.wrote(int(exact) - written)
            written = int(exact)
        else:
            place = clocks.played(time_s, table.blocks[1])
            if place is not None:
                left = written - place - table.blocks[1]
                clocks.starved(time_s, left < 0)
                # Without the beat of the blocks: what would be left if blocks were of one sample.
                ahead = left + (own_s - heard_s) * table.rates[1]
                seen.append((time_s, place, left, ahead, clocks.steering.correction))
    names = ("time_s", "place", "left", "ahead", "correction")
    return dict(zip(names, np.array(seen).T, strict=True))


HOUR_S, SETTLED_S = 3600.0, 60.0


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_an_hour_at_200_ppm_loses_nothing(ppm):
    """Every sample is played once and in order, none is late, and the fill stays where it was."""
    block = 2048
    seen = simulate(Timetable(blocks=(block, block), drift=steady(ppm)), HOUR_S)
    settled = seen["time_s"] > SETTLED_S

    assert set(np.diff(seen["place"])) == {block}
    assert seen["left"].min() >= 0
    assert np.ptp(seen["ahead"][settled]) < 48  # a millisecond, while calls are 4 ms late
    assert seen["correction"][settled].mean() == pytest.approx(1e-6 * ppm, abs=1e-6)
    assert np.abs(seen["correction"][settled] - 1e-6 * ppm).max() < 1.5e-4  # a quarter of a cent


@pytest.mark.parametrize(
    "table",
    [
        Timetable(drift=lambda s: 100 * np.sin(s / 60)),
        Timetable((44_100, 48_000), (441, 512), steady(-200)),
        Timetable((48_000, 44_100), (512, 470), steady(200)),
        Timetable((16_000, 48_000), (170, 512), steady(50)),
        Timetable(blocks=(128, 1024), drift=steady(100)),
        Timetable(blocks=(1024, 128), drift=steady(-100)),
        Timetable(drift=steady(500)),
        Timetable(late_s=0.008),
    ],
    ids=["wandering", "44.1", "to 44.1", "16", "128:1024", "1024:128", "500 ppm", "late"],
)
def test_any_clocks_rates_and_blocks(table):
    """Two minutes of each: nothing is lost, and the pitch moves slower and less than is heard."""
    seen = simulate(table, 120.0)
    steps = np.abs(np.diff(seen["correction"])) / np.diff(seen["time_s"]).clip(1e-3)

    assert set(np.diff(seen["place"])) == {table.blocks[1]}
    assert seen["left"].min() >= 0
    assert np.abs(seen["correction"]).max() < LIMIT
    assert np.median(steps) < SLEW_PER_S


def ring_and_sound(
    table: Timetable, end_s: float, sound: Callable[[np.ndarray], np.ndarray]
) -> tuple[ClockRing, np.ndarray]:
    """Run a `ClockRing` over *table* while the input hears sound(time); what was played."""
    now, played, at = [0.0], [], 0
    rate = table.rates[0]
    ring = ClockRing(
        Inlet(first(1), rate),
        table.rates,
        table.blocks[0],
        MARGIN_S,
        lambda *_: None,
        lambda: now[0],
    )
    at_s, length_s = table.gaps[0]
    for time_s, end, _ in table.until(end_s):
        now[0] = time_s
        if end == 0:
            if length_s and time_s > at_s + length_s:
                at, length_s = at + round(length_s * rate), 0.0  # these were never heard
            indices = np.arange(at, at + table.blocks[0])
            at += table.blocks[0]
            ring.heard(sound(indices / rate)[:, None].astype(np.float32), None, len(indices), 0, 0)
        else:
            played.append(ring.read(table.blocks[1]).copy())
    return ring, np.concatenate(played, axis=1)[0]


def phase_of(heard: np.ndarray, tone_hz: float, rate: int) -> np.ndarray:
    """The phase in samples by which *heard* is behind a tone, smoothed over 10 ms."""
    turned = heard * np.exp(-2j * np.pi * tone_hz * np.arange(len(heard)) / rate)
    width = rate // 100  # whole periods of the tone
    smooth = np.convolve(turned, np.ones(width) / width, "valid")
    return -np.unwrap(np.angle(smooth)) * rate / (2 * np.pi * tone_hz)


@pytest.mark.parametrize(
    ("rates", "blocks", "ppm"),
    [((48_000, 48_000), (512, 512), 200), ((44_100, 48_000), (441, 512), -200)],
)
def test_a_tone_keeps_its_phase(rates, blocks, ppm):
    """A lost, doubled or silent sample would step it by one; it glides, and never that fast."""
    tone_hz = 1000.0
    table = Timetable(rates, blocks, steady(ppm))
    ring, heard = ring_and_sound(table, 25.0, lambda t: np.sin(2 * np.pi * tone_hz * t))
    heard = heard[rates[1] :]  # the start is silence
    behind = phase_of(heard, tone_hz, rates[1])
    clock = 1e-6 * ppm * np.arange(len(behind))  # a faster input gives the tone earlier
    moves = np.abs(np.diff(behind[:: rates[1] // 100] + clock[:: rates[1] // 100]))

    assert ring.underruns == ring.overruns == ring.clocks.recentred == 0
    assert moves.max() < 1.1 * LIMIT * rates[1] / 100  # samples in 10 ms
    assert np.abs(heard).max() < 1.001


def test_the_stated_latency_is_that_of_the_samples():
    """A click that comes in at a known time is played the stated time later, at any moment."""
    table = Timetable(drift=steady(150), late_s=0.0)
    clicks = lambda t: (np.round(t * 48_000) % 24_000 == 0).astype(float)  # noqa: E731
    ring, heard = ring_and_sound(table, 50.0, clicks)
    at = np.flatnonzero(heard > 0.4)
    at = at[at > 30 * 48_000]
    # By the output's clock: the input begins at 0.013 s with a sample that is a block old, the
    # output at 0.026 s with one that is played at once.
    captured_s = (np.round(at / 24_000) * 0.5) / (1 + 150e-6) + 0.013 - 512 / 48_000
    played_s = 0.026 + at / 48_000
    delay = (played_s - captured_s) * 48_000 % 24_000

    assert len(at) >= 35
    assert np.ptp(delay) < 12  # 0.25 ms
    # The block of the output adds its length, as it does in one stream.
    assert np.median(delay) == pytest.approx(ring.latency + 512, abs=12)


@pytest.mark.parametrize("hole_s", [0.006, 0.03, 0.1, 1.0])
def test_lost_input_is_silence_and_the_delay_comes_back(hole_s):
    """It is counted; and half a minute later the sound is as late as before."""
    table = Timetable(drift=steady(30), hole=(20.0, hole_s))
    seen = simulate(table, 60.0)
    before = seen["ahead"][(seen["time_s"] > 15) & (seen["time_s"] < 20)]
    after = seen["ahead"][seen["time_s"] > 50]
    starved = np.flatnonzero(seen["left"] < 0)

    assert np.median(after) == pytest.approx(np.median(before), abs=24)
    assert len(starved) * 512 / 48_000 < hole_s + 0.5
    assert bool(len(starved)) == (hole_s > MARGIN_S)


@pytest.mark.parametrize("stall_s", [0.1, 3.0])
def test_an_output_that_stood_still_is_not_late_for_ever(stall_s):
    """What came meanwhile is dropped, so that the delay is what it was; it is counted."""
    table = Timetable(stall=(20.0, stall_s))
    ring, heard = ring_and_sound(table, 30.0, lambda t: np.sin(2 * np.pi * 50 * t))
    left = ring._ring.available

    assert ring.clocks.recentred >= 1
    assert (ring.overruns > 0) == (stall_s > 1)
    assert abs(left - (ring.latency - 512 - 48)) < 512 + 240
    assert np.abs(heard[-48_000:]).max() == pytest.approx(1, abs=1e-2)


def test_a_gap_is_faded_and_what_follows_is_in_line():
    """No click; the samples after it are where they would have been without it."""
    sound = lambda t: 0.5 * np.sin(2 * np.pi * 50 * t)  # noqa: E731
    _, whole = ring_and_sound(Timetable(late_s=0.0), 6.0, sound)
    now = Timetable(late_s=0.0)
    calls = [
        (3.025 if end == 0 and 3 < time_s < 3.025 else time_s, end, own_s)
        for time_s, end, own_s in now.until(6.0)
    ]
    now.until = lambda end_s: iter(sorted(calls, key=lambda call: call[0]))  # type: ignore[method-assign]
    ring, heard = ring_and_sound(now, 6.0, sound)
    hurt = np.flatnonzero(np.abs(heard - whole) > 0.01)
    largest_step = 0.5 * 2 * np.pi * 50 / 48_000

    assert 1 <= ring.underruns <= 3
    assert ring.clocks.recentred == 0
    assert np.ptp(hurt) < 4 * 512
    assert np.abs(np.diff(heard)).max() < largest_step + 1.1 * 0.5 / JOIN


def test_nothing_is_let_out_of_the_callbacks():
    """A driver that gives fewer channels than it was opened with: silence, and a fault to read."""
    given = []
    ring = ClockRing(
        Inlet(((3,),), 48_000), (48_000, 48_000), 512, MARGIN_S, lambda *call: given.append(call)
    )
    ring.heard(np.zeros((512, 2), np.float32), None, 512, None, None)
    ring.played(None, np.empty((512, 1), np.float32), 512, None, None)

    assert "out of bounds" in ring.summary()["fault"]
    assert not given[0][0].any()


def test_nan_from_a_card_does_not_stay_in_the_resampler():
    """It has passed within the length of the filter."""
    ring = ClockRing(Inlet(first(1), 48_000), (44_100, 48_000), 441, MARGIN_S, lambda *_: None)
    bad = np.full((441, 1), np.nan, np.float32)
    for block in (bad, *[np.zeros((441, 1), np.float32)] * 4):
        ring.heard(block, None, 441, 0, 0)
    heard = np.empty((1, ring._ring.available), np.float32)
    ring._ring.read(heard)

    assert np.isfinite(heard[:, -480:]).all()


def test_a_stopped_process_goes_on_with_the_same_delay():
    """Both devices stand still for 3 s, as after SIGSTOP: neither is taken for the slower one."""
    table = Timetable(drift=steady(30), hole=(20.0, 3.0), stall=(20.0, 3.0))
    seen = simulate(table, 60.0)
    before = seen["ahead"][(seen["time_s"] > 15) & (seen["time_s"] < 20)]
    after = seen["ahead"][seen["time_s"] > 24]

    assert np.median(after) == pytest.approx(np.median(before), abs=24)
    assert np.abs(seen["correction"]).max() < 2e-4


def test_a_clock_is_not_misled_by_a_late_call():
    """One call that is 40 ms late moves the line by less than a tenth of that."""
    clock = DeviceClock(48_000)
    for call in range(1000):
        clock.update(call * 512 / 48_000 + (0.04 if call == 800 else 0.0), 512)
        if call >= 800:
            assert abs(clock.position(call * 512 / 48_000) - clock.count) < 0.004 * 48_000


@pytest.mark.parametrize("rates", [(48_000, 48_000), (44_100, 48_000), (48_000, 8_000)])
def test_a_converter_that_glides_gives_all_samples(rates):
    """However the ratio moves, what it holds back stays the same to a sample or two."""
    converter, rng = Converter(1, *rates), np.random.default_rng(0)
    nominal, exact, given, ratio = converter.ratio, 0.0, 0, converter.ratio
    lags = []
    for _ in range(400):
        converter.ratio = nominal * (1 + rng.uniform(-2e-4, 2e-4))
        given += converter.push(np.zeros((1, 512), np.float32)).shape[1]
        exact, ratio = exact + 512 * (ratio + converter.ratio) / 2, converter.ratio
        lags.append(exact - given)

    assert np.allclose(lags[1:], converter_lag(*rates), atol=2)


def device(index: int, name: str, host: str) -> Device:
    return Device(index, name, host, 2, 2, 48_000, "", 1.0, 1.0)


@pytest.mark.parametrize(
    ("source", "sink", "shared"),
    [
        ((0, "USB mic: Audio (hw:1,0)", "ALSA"), (1, "HDA: HDMI 0 (hw:0,3)", "ALSA"), False),
        ((0, "PCH: ALC257 (hw:0,0)", "ALSA"), (1, "PCH: HDMI 0 (hw:0,3)", "ALSA"), True),
        ((4, "pulse", "ALSA"), (4, "pulse", "ALSA"), False),
        ((4, "mine", "ALSA"), (5, "also mine", "ALSA"), True),
        ((0, "mic", "JACK Audio Connection Kit"), (1, "spk", "JACK Audio Connection Kit"), True),
        ((0, "A", "ASIO"), (0, "A", "ASIO"), True),
        ((0, "mic", "JACK Audio Connection Kit"), (1, "spk", "ALSA"), False),
        ((0, "Scarlett 2i2 USB", "Core Audio"), (0, "Scarlett 2i2 USB", "Core Audio"), True),
        ((0, "Yeti", "Core Audio"), (1, "MacBook Pro Speakers", "Core Audio"), False),
        (
            (0, "Microphone (USB PnP)", "Windows WASAPI"),
            (1, "Speakers (Realtek(R) Audio)", "Windows WASAPI"),
            False,
        ),
        (
            (0, "Microphone Array (Realtek(R) Audio)", "Windows WASAPI"),
            (1, "Speakers (Realtek(R) Audio)", "Windows WASAPI"),
            True,
        ),
        ((0, "Mic (A)", "MME"), (1, "Speakers (A)", "Windows WASAPI"), False),
    ],
)
def test_two_devices_share_a_clock_only_if_they_surely_do(source, sink, shared):
    """One card, one server or one driver; behind the name of a sound server may be any card."""
    assert share_clock(device(*source), device(*sink)) is shared


@pytest.mark.jack
@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--robust",)])
def test_two_streams_of_the_real_portaudio_lose_nothing(tmp_path, more):
    """A tone through two JACK clients, a stream each: its phase glides, and its level stays.

    With workers, what is late is silence, and counted.
    """
    needs_portaudio()
    if shutil.which("jackd") is None or importlib.util.find_spec("jack") is None:
        pytest.skip("needs jackd and JACK-Client: apt install jackd2, pip install JACK-Client")
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(4 * 48_000) / 48_000)
    sf.write(tmp_path / "play.wav", tone.astype(np.float32), 48_000, "FLOAT")
    card = Path(__file__).parents[2] / "tools" / "jack_card.py"
    command = [sys.executable, str(card), str(tmp_path / "play.wav"), str(tmp_path / "heard.wav")]
    command += ["--", sys.executable, "-m", "rtdenoise", "live", "--in", "mic", "--out", "speakers"]
    command += ["-m", str(save(Identity(), tmp_path / "net.pt")), "--json", "--streams", "two"]
    command += ["--rate", "48000", "--channels", "1", "--duration", "6", "--latency", "high"]
    command += more
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    if "jackd did not start" in done.stderr:
        pytest.skip("jackd cannot run here")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    print(summary, done.stderr)
    heard = sf.read(tmp_path / "heard.wav", dtype="float32")[0]
    there = np.flatnonzero(np.abs(heard) > 0.3)
    heard = heard[there[0] + 4800 : there[-1] - 4800]
    behind = phase_of(heard, 1000.0, 48_000)
    level = np.abs(np.convolve(heard, np.exp(-2j * np.pi * np.arange(480) / 48), "valid")) / 240

    assert len(heard) > 3.5 * 48_000
    if not summary["silent_blocks"]:
        assert np.abs(np.diff(behind[::480])).max() < 1.1 * LIMIT * 480
        np.testing.assert_allclose(level, 0.5, atol=1e-3)
