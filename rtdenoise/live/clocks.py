"""Two devices, two clocks: how both are measured, and how a ratio is steered so that they agree.

Two devices of the same nominal rate differ by up to some 100 ppm, which is 5 samples a second. A
ring between them would run empty or full within minutes. So the input is resampled by a ratio
that holds the fill of the ring at its target. Here is the arithmetic alone, without devices or
samples, so that an hour can be simulated in seconds.

The fill itself says too little: it jumps by a block at each callback, and the phase between two
callbacks of nearly equal periods slips over minutes. So `DeviceClock` draws a straight line through
the times of the callbacks of each device, and the surplus is the difference between two lines at
one time. It does not depend on blocks, and hardly on how late a single callback was.
"""

from __future__ import annotations

from math import exp

MEMORY_S = 4.0  # time constant of a device's line: 0.5 ms of jitter become about 1 sample
TRUST_S = 0.05  # a callback that is further off its line is late by chance, or samples were lost
LOST_S = 0.2  # after so long off the line, samples were lost, and the line starts anew
FIRST_S = 0.1  # time until the line of a device is known well enough to start
PULL_S = 10.0  # time constant of the steering
LIMIT = 1e-3  # largest correction: 1.7 cents; people hear 5 cents at best
SLEW_PER_S = 1e-4  # fastest change of the correction


class DeviceClock:
    """The clock of a device: a straight line through its sample count over the time.

    Each callback is one measurement of the line. The first ones are averaged; later ones correct
    position and rate with a fading memory (a critically damped alpha-beta filter).

    Args:
        rate: Nominal sample rate of the device in Hz.

    Attributes:
        count: Samples of all callbacks so far.
    """

    def __init__(self, rate: int) -> None:
        self.count = 0
        self._calls = 0
        self._began = 0  # count at the first call of the line
        self._doubt_s: float | None = None
        # One tuple, so that another thread never sees half of a new line.
        self._line = (0.0, 0.0, float(rate))

    @property
    def sure(self) -> bool:
        """Whether the line is known, and the last callback was on it."""
        known = self._calls > 1 and self.count - self._began >= FIRST_S * self._line[2]
        return known and self._doubt_s is None

    def update(self, now_s: float, frames: int) -> None:
        """Count a callback of *frames* samples at *now_s* seconds."""
        self.count += frames
        then_s, _, rate = self._line
        elapsed_s = now_s - then_s
        error = self.count - self.position(now_s)
        if self._calls and abs(error) > TRUST_S * rate:
            self._doubt_s = now_s if self._doubt_s is None else self._doubt_s
            if now_s - self._doubt_s <= LOST_S:
                return
            self.restart()
        self._doubt_s = None
        self._calls += 1
        if self._calls == 1:
            self._began = self.count
            self._line = (now_s, float(self.count), rate)
        elif elapsed_s > 0:
            memory = exp(-elapsed_s / MEMORY_S)
            pull = max(1 / self._calls, 1 - memory**2)
            turn = (1 - memory) ** 2 / elapsed_s
            self._line = (now_s, self.count - (1 - pull) * error, rate + turn * error)

    def restart(self) -> None:
        """Forget the position, but not the rate: samples were lost."""
        self._calls = 0

    def position(self, now_s: float) -> float:
        """Return the sample count that the line has at *now_s* seconds."""
        then_s, position, rate = self._line
        return position + rate * (now_s - then_s)


class Steering:
    """A PI controller with a limit of its output, and of how fast the output changes.

    Args:
        rate: Sample rate in Hz in which a surplus is counted.

    Attributes:
        correction: Share by which fewer samples are to be made: 1e-4 is 100 ppm.
    """

    def __init__(self, rate: int) -> None:
        # The surplus grows by rate * (drift - correction) a second. These gains make that a
        # critically damped system of the second order, with the time constant PULL_S.
        self._proportional = 2 / (PULL_S * rate)
        self._integral_per_s = 1 / (PULL_S**2 * rate)
        self._sum = 0.0
        self.correction = 0.0

    def update(self, surplus: float, elapsed_s: float) -> None:
        """Correct for *surplus* samples too many, *elapsed_s* seconds after the last time."""
        wanted = self._sum + self._proportional * surplus
        step = SLEW_PER_S * elapsed_s
        change = min(max(wanted - self.correction, -step), step)
        self.correction = min(max(self.correction + change, -LIMIT), LIMIT)
        # While the output cannot follow, the sum must not run away.
        if abs(wanted - self.correction) < 10 * step:
            self._sum += self._integral_per_s * surplus * elapsed_s


class TwoClocks:
    """The ratio and the places that keep a stream from one device in step with another.

    The thread of the input calls `heard` and `wrote`, the thread of the output `played`; each
    publishes what the other reads as one object. Samples are counted at the rate of the output.

    Args:
        rates: Sample rates of the input and the output in Hz.
        target: Samples that the written ones are ahead of the played ones, both on their lines.
        bound: Surplus in samples, beyond which the place is set anew instead of approached.

    Attributes:
        steering: The controller of the ratio.
        recentred: How often the place was set anew after the start.
    """

    def __init__(self, rates: tuple[int, int], target: int, bound: int) -> None:
        self.input, self.output = DeviceClock(rates[0]), DeviceClock(rates[1])
        self.steering = Steering(rates[1])
        self.recentred = 0
        self._in_rate, self._nominal = rates[0], rates[1] / rates[0]
        self._target, self._bound = target, bound
        self._shift: int | None = None  # from the count of the output to a place in what is written
        self._starved_s: float | None = None
        self._lost_place = False
        self._written = (0, 0, self._nominal)  # samples, the count of the input then, the ratio

    def heard(self, now_s: float, frames: int) -> float:
        """Return the ratio, output rate to input rate, at which to resample a block of the input.

        Args:
            now_s: Time of the callback in seconds.
            frames: Samples of the block, at the rate of the input.
        """
        if self._lost_place:
            self._lost_place = False
            self.input.restart()
        self.input.update(now_s, frames)
        if self._shift is not None and self._sure:
            self.steering.update(self._surplus(now_s, self._shift), frames / self._in_rate)
        return self._nominal * (1 - self.steering.correction)

    def wrote(self, samples: int) -> None:
        """Count the *samples* that the block of the last `heard` became."""
        ratio = self._nominal * (1 - self.steering.correction)
        self._written = (self._written[0] + samples, self.input.count, ratio)

    def played(self, now_s: float, frames: int) -> int | None:
        """Return the place, among all written samples, of the first one of a block to play.

        It is the end of the block before, unless the place was set anew.

        Args:
            now_s: Time of the callback in seconds.
            frames: Samples of the block.

        Returns:
            The place; it may be negative, or not written yet. None: the clocks are not known yet.
        """
        self.output.update(now_s, frames)
        if self._sure:
            surplus = self._surplus(now_s, self._shift or 0)
            if self._shift is None or abs(surplus) > self._bound:
                self.recentred += self._shift is not None
                self._shift = (self._shift or 0) + round(surplus)
        return None if self._shift is None else self.output.count - frames + self._shift

    def starved(self, now_s: float, short: bool) -> None:
        """Take note whether the block of the last `played` was too *short*.

        A ring that is short for `LOST_S` has lost its place: the input has lost samples, but too
        few to be seen in the time of its callbacks.
        """
        self._starved_s = None if not short else self._starved_s or now_s
        if self._starved_s is not None and now_s - self._starved_s > LOST_S:
            self._lost_place, self._starved_s = True, None

    @property
    def _sure(self) -> bool:
        """Whether the lines of both clocks are known."""
        return self.input.sure and self.output.sure

    def _surplus(self, now_s: float, shift: int) -> float:
        """Return the samples that are written too many at *now_s* seconds."""
        samples, count, ratio = self._written
        written = samples + ratio * (self.input.position(now_s) - count)
        return written - self.output.position(now_s) - shift - self._target
