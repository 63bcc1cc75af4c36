"""The section of a long item that one task works on: a piece of it, or the join of all pieces."""

from __future__ import annotations

from dataclasses import dataclass

from . import store

SUFFIX = ".w64"  # of a piece file


@dataclass(frozen=True)
class Cut:
    """A piece of a recording: plain values, with which any machine can work.

    Attributes:
        start: Its first sample.
        stop: The sample after its last. None: it goes on to the end, wherever that is.
        beyond: Samples of sound for which its run goes on after *stop*.
    """

    start: int
    stop: int | None
    beyond: int

    def name(self, key: str) -> str:
        """Return the name of its file.

        Args:
            key: Digest of the recording, the effect and its settings.
        """
        end = "end" if self.stop is None else f"{self.stop}+{self.beyond}"
        return f"{key}-{self.start}-{end}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Section:
    """What one task does for a long item.

    Attributes:
        key: The key of the output; see `files.digest`.
        cuts: All pieces, in order.
        number: Number of the piece to process. None: the pieces are there, and are to be joined.
    """

    key: str
    cuts: tuple[Cut, ...]
    number: int | None = None

    def names(self, target: str) -> list[str]:
        """Return the names of the files of all pieces.

        >>> Section("k", (Cut(0, None, 9),)).names("s3://bucket/out/a.wav")
        ['s3://bucket/out/.rtdenoise-k.pieces/k-0-end.w64']
        """
        return [f"{self.folder(target)}/{cut.name(self.key)}" for cut in self.cuts]

    def folder(self, target: str) -> str:
        """Return the folder of the pieces: hidden, beside the output."""
        beside = target[: len(target) - len(store.base_name(target))]
        return f"{beside}.rtdenoise-{self.key}.pieces"
