"""The negotiation of a run: two ends, an effect and a user's wishes become one plan.

Nothing is opened here. `Offer` says what an end can do, `Pace` how often the net of an effect needs
samples, and `Wishes` what the user asks for; `negotiate` makes a `Plan` of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..audio import check_channels, check_rate
from ..errors import DeviceError, Problem, UsageError
from .channels import Rows, first, parse_channels, within
from .devices import Kind

USUAL_RATES_HZ = (8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
MAX_BLOCK = 65_536
ROBUST_HOPS, LEAST_HOPS, MOST_HOPS = 4, 2, 4  # time that a worker has; docs/live.md has why
STAGE = "window, resampler, effects"  # the part of the latency that a stage has
MOST_TAP_S = 3600.0


class WishError(UsageError):
    """An error about a wish that cannot be met.

    Args:
        setting: Name of the wish in `Wishes` and `Live`.
        value: The value that the user gave.
        reason: What was wanted, or why the wish cannot be met.
    """

    def __init__(self, setting: str, value: object, reason: str) -> None:
        self.setting, self.value, self.reason = setting, value, reason
        super().__init__(f"{setting} = {value}: {reason}")


@dataclass(frozen=True)
class Wishes:
    """The settings that a user may ask of a run.

    Attributes:
        rate: Sample rate of the ends in Hz. None: that of the input file, or else of the effect,
            or else of the devices.
        channels: Channel count of the devices. None: that of the input file, or else one, which is
            played on both speakers.
        block: Samples per channel of a callback. 0: the device decides; None: a hop of the effect.
        latency: Latency of the devices: "low" or "high", which they define, or seconds.
        clock: Pace without a device: "real" keeps the pace of the sample rate, "fast" does not
            wait.
        duration_s: Time in seconds after which the run ends. None: it ends with its file, or never.
        record: Name of a file that records the output. None: there is no recording.
        overwrite: Whether existing files may be replaced.
        in_channels: Channels of the input, as `channels.parse_channels` reads them. None: the first
            ones.
        out_channels: Channels of the output, likewise.
        streams: Streams of two devices: "one" for both, "two" with a ring between them that follows
            both clocks, or "auto", which is two unless both surely share a clock.
        wait_for_device: Whether to wait for a device that is gone in mid run.
        robust: Hops of time that a worker thread has for the effect, 2 to 4; True is the usual
            number. False: the effect runs in the callback.
        tap_seconds: Seconds of sound and calls that the flight recorder and other processes can
            read. 0: there are none.
        flight_folder: Folder in which the flight recorder writes.
        flight_on_glitch: Whether it writes of its own accord when a call fails or is late.

    Raises:
        WishError: If a value is out of range.

    >>> Wishes(block=-1)
    Traceback (most recent call last):
    rtdenoise.live.negotiate.WishError: block = -1: wanted 0 to 65536
    """

    rate: int | None = None
    channels: int | None = None
    block: int | None = None
    latency: str | float = "low"
    clock: str = "real"
    duration_s: float | None = None
    record: str | Path | None = None
    overwrite: bool = False
    in_channels: str | int | None = None
    out_channels: str | int | None = None
    streams: str = "auto"
    wait_for_device: bool = True
    robust: bool | int = False
    tap_seconds: float = 20.0
    flight_folder: str | Path = "."
    flight_on_glitch: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no ends can meet."""
        words = self.latency in ("low", "high")
        if not words and (isinstance(self.latency, str) or not 0 < self.latency < 10):
            raise WishError("latency", self.latency, "wanted low, high or seconds")
        if not 0 <= (self.block or 0) <= MAX_BLOCK:
            raise WishError("block", self.block, f"wanted 0 to {MAX_BLOCK}")
        if self.clock not in ("real", "fast"):
            raise WishError("clock", self.clock, "wanted real or fast")
        if self.duration_s is not None and not self.duration_s > 0:
            raise WishError("duration_s", self.duration_s, "wanted more than 0")
        if self.streams not in ("auto", "one", "two"):
            raise WishError("streams", self.streams, "wanted auto, one or two")
        if self.hops and not LEAST_HOPS <= self.hops <= MOST_HOPS:
            raise WishError("robust", self.robust, f"wanted {LEAST_HOPS} to {MOST_HOPS} hops")
        if self.hops and self.block == 0:
            raise WishError("block", 0, "wanted 1 or more, or none, for a worker (robust)")
        if not 0 <= self.tap_seconds <= MOST_TAP_S:
            raise WishError("tap_seconds", self.tap_seconds, f"wanted 0 to {MOST_TAP_S:g}")
        self.rows("input", Offer(is_device=True))
        self.rows("output", Offer(is_device=True))

    @property
    def hops(self) -> int:
        """The hops of time that a worker has. 0: there is none."""
        return ROBUST_HOPS if self.robust is True else int(self.robust)

    def rows(self, kind: Kind, offer: Offer) -> Rows | None:
        """Return the rows of channels that are asked of an end, or None if none are.

        Args:
            kind: Whether the end is the input or the output.
            offer: The abilities of the end.

        Raises:
            WishError: If *offer* has no such channels.
        """
        text = self.in_channels if kind == "input" else self.out_channels
        if text is None:
            return None
        try:
            if not (offer.is_device or offer.is_file):
                raise ValueError(f"wanted a device with channels as the {kind}")
            return within(parse_channels(text, kind), kind, offer.channels, offer.name)
        except ValueError as error:
            setting = "in_channels" if kind == "input" else "out_channels"
            raise WishError(setting, text, str(error)) from None


def _any(_rate: int) -> bool:
    return True


@dataclass(frozen=True)
class Offer:
    """The abilities of an end. The defaults are those of `null`, which takes all.

    Attributes:
        name: Name of the end, for messages.
        channels: Most channels that a device has, or the channels of a file. None: any number.
        rate: Sample rate in Hz that a device prefers, or that of a file. None: any rate.
        takes: Function that returns whether the end runs at a rate in Hz.
        is_device: Whether the end is a device, which has a clock of its own.
        is_file: Whether the end is a file that is played.
    """

    name: str = "null"
    channels: int | None = None
    rate: int | None = None
    takes: Callable[[int], bool] = _any
    is_device: bool = False
    is_file: bool = False


@dataclass(frozen=True)
class Pace:
    """How often the net of an effect needs samples. The defaults are for effects without a net.

    Attributes:
        rate: Sample rate in Hz at which the net works.
        hop: Samples at *rate* between two calls of the net.
    """

    rate: int = 48_000
    hop: int = 512

    @property
    def period_s(self) -> float:
        """The time between two calls of the net in seconds; a call may take as long."""
        return self.hop / self.rate


@dataclass(frozen=True)
class Plan:
    """The form of a run.

    Attributes:
        rate: Sample rate of both ends in Hz, or of the output if the input has its own.
        in_rows: Channels of the input, a row for each channel of its sound.
        out_rows: Channels of the output, likewise.
        block: Samples per channel of a callback. 0: the device decides each time.
        period_s: Time in seconds that a hop of the net may take.
        paced: Whether somebody waits for the samples, so that a hop can be late.
        in_rate: Sample rate in Hz of an input that has a stream of its own. None: it has none.
        hops: Hops of time that a worker has for the effect. 0: it runs in the callback.
        plays: Whether the output is a device.
    """

    rate: int
    in_rows: Rows
    out_rows: Rows
    block: int
    period_s: float
    paced: bool
    in_rate: int | None = None
    hops: int = 0
    plays: bool = False

    @property
    def inputs(self) -> int:
        """The channels of sound that the input gives."""
        return len(self.in_rows)

    @property
    def outputs(self) -> int:
        """The channels of sound that the output takes."""
        return len(self.out_rows)

    @property
    def in_block(self) -> int:
        """The samples of a callback of an input that has a stream of its own; never 0."""
        seconds = self.block / self.rate if self.block else self.period_s
        return max(1, round(seconds * (self.in_rate or self.rate)))

    @property
    def rows(self) -> int:
        """The channels to process: as many as the end with fewer channels has."""
        return min(self.inputs, self.outputs)

    @property
    def block_ms(self) -> float:
        """The latency in ms that collecting a block costs."""
        return 1e3 * self.block / self.rate

    @property
    def added(self) -> int:
        """The latency in samples that the time of a worker costs."""
        return self.hops * max(self.block, round(self.period_s * self.rate)) if self.plays else 0


def negotiate(source: Offer, sink: Offer, pace: Pace, wishes: Wishes, shared: bool = True) -> Plan:
    """Return the plan that suits both ends, the effect and the user.

    Args:
        source: The abilities of the input.
        sink: The abilities of the output.
        pace: How often the net of the effect needs samples.
        wishes: The settings that the user asks for.
        shared: Whether two devices share a clock.

    Raises:
        WishError: If the user asks for another rate than that of the input file, for channels that
            an end lacks, or for two streams of fewer devices, or for a worker without a device.
        DeviceError: If the devices take no rate that fits; the message lists the rates of each.
        AudioError: If the rate or a channel count is out of range.
    """
    rate, in_rate = _rates(source, sink, pace, wishes, shared)
    in_rows, out_rows = _rows(source, sink, wishes)
    block = round(pace.period_s * rate) if wishes.block is None else wishes.block
    # Between ends that do not wait, no sample can come late.
    paced = source.is_device or sink.is_device or wishes.clock == "real"
    if wishes.hops and not (source.is_device or sink.is_device):
        raise WishError("robust", wishes.robust, "wanted a device as an input or output")
    return Plan(
        rate, in_rows, out_rows, block, pace.period_s, paced, in_rate, wishes.hops, sink.is_device
    )


def _rates(
    source: Offer, sink: Offer, pace: Pace, wishes: Wishes, shared: bool
) -> tuple[int, int | None]:
    """Return the rate, and that of the input if it needs a stream of its own.

    The rate is the user's, or else the file's, the effect's, or one that a device prefers.
    """
    wish = wishes.rate
    if source.is_file:
        if wish not in (None, source.rate):
            raise WishError("rate", wish, f"the input file has {source.rate} Hz; leave it out")
        wish = source.rate
    devices = [offer for offer in (source, sink) if offer.is_device]
    preferred = [offer.rate for offer in devices if offer.rate is not None]
    choices = [pace.rate, *preferred] if wish is None else [wish]
    may_split = len(devices) == 2 and wishes.streams != "one"
    if wishes.streams == "two" and not may_split:
        raise WishError("streams", "two", "wanted a device at both ends")
    if not may_split or (shared and wishes.streams == "auto"):
        for rate in choices:
            if all(device.takes(rate) for device in devices):
                return check_rate(rate), None
    if may_split:
        rates = [rate for rate in choices if sink.takes(rate)]
        for in_rate in (*rates, *preferred, *USUAL_RATES_HZ):
            if rates and source.takes(in_rate):
                return check_rate(rates[0]), check_rate(in_rate)
    raise _no_rate(devices, choices)


def _no_rate(devices: list[Offer], choices: list[int]) -> DeviceError:
    """Return an error that lists what was tried, and the rates that each device takes."""
    lines = []
    for device in devices:
        taken = [str(rate) for rate in USUAL_RATES_HZ if device.takes(rate)]
        lines.append(f"{device.name} takes {', '.join(taken) or 'none of the usual'}")
    tried = ", ".join(map(str, choices))
    return DeviceError(
        "\n  ".join([f"no device rate fits: tried {tried} Hz.", *lines]), Problem.DEVICE
    )


def _rows(source: Offer, sink: Offer, wishes: Wishes) -> tuple[Rows, Rows]:
    """Return the channels of input and output: as the user asks, if the ends can."""
    in_rows, out_rows = wishes.rows("input", source), wishes.rows("output", sink)
    heard = source.channels if source.is_file else None
    heard = len(in_rows) if in_rows is not None else heard
    asked = wishes.channels if wishes.channels is not None else heard or 1
    check_channels(asked)

    def offered(offer: Offer) -> int:
        return asked if offer.channels is None else min(asked, offer.channels)

    outputs = offered(sink)
    if wishes.channels is None and (sink.channels or 0) >= 2:
        outputs = max(outputs, 2)  # a mono voice is played on both speakers
    inputs = source.channels if source.is_file and source.channels else offered(source)
    return (
        first(check_channels(inputs)) if in_rows is None else in_rows,
        first(check_channels(outputs)) if out_rows is None else out_rows,
    )


def latency_parts(
    plan: Plan,
    stage: int,
    devices_ms: tuple[float | None, float | None],
    ring_ms: float | None = None,
) -> dict[str, float | None]:
    """Return the parts of the latency in ms, in the order of the sound.

    Args:
        plan: The form of the run.
        stage: Latency of the stage in samples.
        devices_ms: Latencies of input and output in ms. None: the driver does not report it.
        ring_ms: Latency in ms of the ring between two streams. None: there is one stream.
    """
    return {
        "device in": devices_ms[0],
        **({} if ring_ms is None else {"clock ring": ring_ms}),
        "block": plan.block_ms,
        **({"worker": 1e3 * plan.added / plan.rate} if plan.added else {}),
        STAGE: 1e3 * stage / plan.rate,
        "device out": devices_ms[1],
    }
