"""Lost time is found by what comes within a second, and by nothing else."""

from __future__ import annotations

import pytest

from rtdenoise.live.lost import LostTime

RATE, BLOCK = 48_000, 480


def lost_in(stream) -> list[tuple[int, int]]:
    """(samples that had come, samples lost) by a watch that looks every 20 ms.

    Args:
        stream: (seconds, samples that came so far) in the order of time.
    """
    watch, found, known = LostTime(RATE, BLOCK), [], 0
    for now_s, came in stream:
        lost = watch.look(now_s, came)
        if lost:
            found.append((known, lost))
        known = known if lost is None else came
    return found


def steady(until_s, speed=1.0, start_s=0.0, came=0, every_s=0.02):
    """A stream in blocks, whose clock is faster than ours."""
    for look in range(round((until_s - start_s) / every_s)):
        now_s = start_s + (look + 1) * every_s
        yield now_s, came + int((now_s - start_s) * speed * RATE) // BLOCK * BLOCK


@pytest.mark.parametrize("speed", [1.0, 1.001, 0.999])
def test_two_clocks_that_differ_lose_nothing(speed):
    """Ten minutes at 1000 ppm are 0.6 s, which nobody lost."""
    assert lost_in(steady(600, speed)) == []


@pytest.mark.parametrize("stop_s", [0.2, 5.0, 36_000.0])
@pytest.mark.parametrize("looks", ["none", "all the time"])
def test_a_stop_is_found_with_its_length_and_its_place(stop_s, looks):
    """Of the whole process, as sleep; or of the device alone."""
    before = list(steady(10))
    now_s, came = before[-1]
    meanwhile = (
        [] if looks == "none" else [(now_s + 0.02 * i, came) for i in range(1, int(stop_s * 50))]
    )[:5000]
    after = list(steady(now_s + stop_s + 10, start_s=now_s + stop_s, came=came))
    ((at, lost),) = lost_in([*before, *meanwhile, *after])

    assert at == came
    assert abs(lost - stop_s * RATE) <= 2 * BLOCK


def test_two_stops_in_a_row_are_as_long_as_both():
    """The second while it is not yet known whether the stream catches up."""
    first = list(steady(5))
    second = list(steady(7.5, start_s=7, came=first[-1][1]))
    third = list(steady(20, start_s=10, came=second[-1][1]))
    lost = sum(n for _, n in lost_in([*first, *second, *third]))

    assert abs(lost - (2 + 2.5) * RATE) <= 4 * BLOCK


def test_a_stream_that_catches_up_has_lost_nothing():
    """A callback that was late by 0.5 s, of a device that holds as much."""
    late = [(now_s, came) for now_s, came in steady(20) if not 10 < now_s < 10.5]

    assert lost_in(late) == []


def test_a_device_that_does_not_come_back_leaves_no_silence_at_the_end():
    """Nobody waits for it any more."""
    stream = list(steady(10))
    now_s, came = stream[-1]
    watch = LostTime(RATE, BLOCK)
    for look in stream:
        watch.look(*look)
    for i in range(1, 100):
        watch.look(now_s + 0.02 * i, came)

    assert watch.look(now_s + 5, came, last=True) == 0
