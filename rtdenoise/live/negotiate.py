"""What a run will be: from two ends, an effect and a user's wishes to one plan.

Nothing is opened here. An end says what it can do (`Offer`), an effect how fast its net ticks
(`Pace`), a user what matters (`Wishes`), and `negotiate` answers with a `Plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..audio import check_channels, check_rate
from ..errors import DeviceError, Problem, UsageError

USUAL_RATES_HZ = (8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
MAX_BLOCK = 65_536


class WishError(UsageError):
    """A wish that cannot be.

    Args:
        setting: Name of the wish, as `Wishes` and `Live` call it.
        value: What came.
        reason: What was wanted.
    """

    def __init__(self, setting: str, value: object, reason: str) -> None:
        self.setting, self.value, self.reason = setting, value, reason
        super().__init__(f"{setting} = {value}: {reason}")


@dataclass(frozen=True)
class Wishes:
    """What a user may ask of a run.

    Attributes:
        rate: Hz of the ends. None: the file's, else the effect's own, else the devices'.
        channels: Of the devices. None: the file's, else one, which goes to both ears.
        block: Samples a callback. 0: as many as the device likes; None: a hop of the effect.
        latency: Of the devices: "low" or "high" (what they suggest), or seconds.
        clock: Without a device: "real", at the pace of the samples, or "fast", as fast as it goes.
        duration_s: Seconds after which the run ends. None: when its file ends, or never.
        record: File for what is heard. None: none.
        overwrite: Replace files that are there.

    Raises:
        WishError: a value out of range.

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

    def __post_init__(self) -> None:
        """Refuse what no ends could give."""
        words = self.latency in ("low", "high")
        if not words and (isinstance(self.latency, str) or not 0 < self.latency < 10):
            raise WishError("latency", self.latency, "wanted low, high or seconds")
        if not 0 <= (self.block or 0) <= MAX_BLOCK:
            raise WishError("block", self.block, f"wanted 0 to {MAX_BLOCK}")
        if self.clock not in ("real", "fast"):
            raise WishError("clock", self.clock, "wanted real or fast")
        if self.duration_s is not None and not self.duration_s > 0:
            raise WishError("duration_s", self.duration_s, "wanted more than 0")


def _any(_rate: int) -> bool:
    return True


@dataclass(frozen=True)
class Offer:
    """What one end can do. Without arguments: an end that takes all, as null does.

    Attributes:
        name: For messages.
        channels: The most it has; a file has exactly these. None: any number.
        rate: Hz that it likes best; a file has no other. None: no preference.
        takes: Whether it runs at a rate in Hz.
        is_device: Whether it is one, with a clock of its own.
        is_file: Whether it is a file that is played.
    """

    name: str = "null"
    channels: int | None = None
    rate: int | None = None
    takes: Callable[[int], bool] = _any
    is_device: bool = False
    is_file: bool = False


@dataclass(frozen=True)
class Pace:
    """How often the net of an effect wants samples. The defaults: for effects without a net.

    Attributes:
        rate: Hz at which it works best.
        hop: Samples at *rate* between two calls of the net.
    """

    rate: int = 48_000
    hop: int = 512

    @property
    def period_s(self) -> float:
        """Seconds between two calls of the net: what it may take, live."""
        return self.hop / self.rate


@dataclass(frozen=True)
class Plan:
    """What the run is.

    Attributes:
        rate: Hz of both ends.
        inputs: Channels of the input.
        outputs: Channels of the output.
        block: Samples a callback; 0: as many as the device likes.
        period_s: Seconds that a hop of the net may take.
        paced: Whether somebody waits for the samples, so that a hop can be late.
    """

    rate: int
    inputs: int
    outputs: int
    block: int
    period_s: float
    paced: bool

    @property
    def rows(self) -> int:
        """Channels worth processing: no more than the narrower side can carry."""
        return min(self.inputs, self.outputs)

    @property
    def block_ms(self) -> float:
        """What collecting a block costs."""
        return 1e3 * self.block / self.rate


def negotiate(source: Offer, sink: Offer, pace: Pace, wishes: Wishes) -> Plan:
    """Find what suits both ends, the effect and the user.

    Raises:
        WishError: another rate than the input file has.
        DeviceError: no rate that the devices take; it lists what each takes.
        AudioError: a rate or a channel count that cannot be.
    """
    rate = _rate(source, sink, pace, wishes.rate)
    inputs, outputs = _channels(source, sink, wishes.channels)
    block = round(pace.period_s * rate) if wishes.block is None else wishes.block
    # Between files that do not wait for each other nothing can come late.
    paced = source.is_device or sink.is_device or wishes.clock == "real"
    return Plan(rate, inputs, outputs, block, pace.period_s, paced)


def _rate(source: Offer, sink: Offer, pace: Pace, wanted: int | None) -> int:
    """The wanted rate, else the file's, else the effect's own, else what a device likes."""
    if source.is_file:
        if wanted not in (None, source.rate):
            raise WishError("rate", wanted, f"the input file has {source.rate} Hz; leave it out")
        wanted = source.rate
    devices = [offer for offer in (source, sink) if offer.is_device]
    likes = [offer.rate for offer in devices if offer.rate is not None]
    choices = [pace.rate, *likes] if wanted is None else [wanted]
    for rate in choices:
        if all(device.takes(rate) for device in devices):
            return check_rate(rate)
    lines = []
    for device in devices:
        taken = [str(rate) for rate in USUAL_RATES_HZ if device.takes(rate)]
        lines.append(f"{device.name} takes {', '.join(taken) or 'none of the usual'}")
    tried = ", ".join(map(str, choices))
    raise DeviceError(
        "\n  ".join([f"no device rate fits: tried {tried} Hz.", *lines]), Problem.DEVICE
    )


def _channels(source: Offer, sink: Offer, wanted: int | None) -> tuple[int, int]:
    """Of input and output: what is wanted, as far as the devices have it; files as they are."""
    asked = wanted if wanted is not None else (source.channels if source.is_file else None) or 1

    def within(offer: Offer) -> int:
        return asked if offer.channels is None else min(asked, offer.channels)

    inputs = source.channels if source.is_file and source.channels else within(source)
    outputs = within(sink)
    if wanted is None and (sink.channels or 0) >= 2:
        outputs = max(outputs, 2)  # a voice belongs in both ears
    return check_channels(inputs), check_channels(outputs)


def latency_parts(
    plan: Plan, stage: int, devices_ms: tuple[float | None, float | None]
) -> dict[str, float | None]:
    """Where the delay comes from, in ms and in the order of the sound.

    Args:
        plan: What the run is.
        stage: Samples of delay of what processes.
        devices_ms: Of input and output, as the devices report them; None where one is unknown.
    """
    return {
        "device in": devices_ms[0],
        "block": plan.block_ms,
        "window, resampler, effects": 1e3 * stage / plan.rate,
        "device out": devices_ms[1],
    }
