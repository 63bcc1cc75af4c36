"""The numbers of a server for Prometheus; the door to `prometheus_client`."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from .lane import Lane
from .pool import Round

KIND = CONTENT_TYPE_LATEST
HOPS = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.0107, 0.016, 0.032, 0.064, 0.128, 0.5, 2.0)


class Metrics:
    """The numbers of a server.

    Args:
        streams: Function that returns how many streams there are.
    """

    def __init__(self, streams: Callable[[], float]) -> None:
        self._all = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"rtdenoise_{name}", meaning, labels, registry=self._all)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"rtdenoise_{name}", meaning, registry=self._all, buckets=buckets)

        Gauge("rtdenoise_streams", "Streams that are open", registry=self._all).set_function(
            streams
        )
        self.most = Gauge("rtdenoise_streams_most", "Streams that it takes", registry=self._all)
        self.draining = Gauge("rtdenoise_draining", "1 while it ends", registry=self._all)
        self.begun = counter("streams_begun", "Streams that began")
        self.refused = counter("refused", "Connections that were refused", "reason")
        self.bytes = counter("bytes", "Bytes of audio", "direction")
        self.lost = counter("lost_frames", "Frames without an answer that clients told on resuming")
        self._ended = counter("streams_ended", "Streams that ended", "how")
        self._failed = counter("failed_hops", "Hops of ended streams where the net failed")
        self._late = counter("late_pieces", "Pieces whose answer came later than the next hop")
        self._hops = counter("hops", "Hops that nets processed")
        self._round_hops = histogram("round_hops", "Hops that were processed at once", HOPS)
        self._round_s = histogram("round_seconds", "Time of a round", SECONDS)
        self._answer_s = histogram(
            "answer_seconds", "Time from when a piece was there in real time to its answer", SECONDS
        )

    def note(self, about: Round) -> None:
        """Take the facts about a round."""
        self._hops.inc(about.hops)
        self._late.inc(about.late)
        self._round_hops.observe(about.hops)
        self._round_s.observe(about.seconds)
        for lag_s in about.lags_s:
            self._answer_s.observe(lag_s)

    def end(self, lane: Lane, how: str) -> None:
        """Take the facts about a stream that ended."""
        self._ended.labels(how).inc()
        self._failed.inc(lane.counters["failed"])

    def text(self) -> bytes:
        """Return the numbers in the form of Prometheus."""
        return generate_latest(self._all)
