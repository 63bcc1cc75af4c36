"""Damage to bytes and texts, as disks, networks, other programs and malice do it."""

from __future__ import annotations

import numpy as np

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
WORDS = (
    "", "0", "-1", "1e999", "nan", "inf", "-inf", "9" * 30, "true", "[]", "{}", "..", "/", "\\",
    "'", '"', "=", "|", ":", "%", "\t", "\u00e9", "\u202e", "\ud7ff", "\x1b[2J", "a" * 300, "-",
    "*",
)  # fmt: skip


def data(original: bytes, rng: np.random.Generator) -> bytes:
    """Return *original* after one to six damages."""
    out = bytearray(original)
    for _ in range(int(rng.integers(1, 7))):
        if not out:
            break
        at = _place(len(out), rng)
        size = int(2 ** rng.uniform(0, 10))
        match int(rng.integers(7)):
            case 0:  # a bit
                out[at] ^= 1 << int(rng.integers(8))
            case 1:  # an integer at an edge of its range
                width = int(rng.choice([1, 2, 4, 8]))
                value = int(rng.choice(EDGES)) % (1 << 8 * width)
                order = "little" if rng.random() < 0.7 else "big"
                out[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
            case 2:  # a cut
                del out[at:]
            case 3:  # a hole
                del out[at : at + size]
            case 4:  # zeros
                out[at : at + size] = bytes(min(size, len(out) - at))
            case 5:  # noise
                out[at : at + size] = rng.bytes(min(size, len(out) - at))
            case _:  # a repetition
                out[at:at] = out[at : at + size]
    return bytes(out)


def _place(length: int, rng: np.random.Generator) -> int:
    """Draw a place, half of the time within the first 100 bytes, where headers are."""
    return int(rng.integers(min(length, 100) if rng.random() < 0.5 else length))


def text(original: str, rng: np.random.Generator) -> str:
    """Return *original* after one to three damages: words inserted, cut, doubled or replaced."""
    out = original
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(out) + 1))
        to = min(len(out), at + int(rng.integers(1, 12)))
        word = WORDS[int(rng.integers(len(WORDS)))]
        match int(rng.integers(4)):
            case 0:
                out = out[:at] + word + out[at:]
            case 1:
                out = out[:at] + out[to:]
            case 2:
                out = out[:to] + out[at:to] + out[to:]
            case _:
                out = out[:at] + word + out[to:]
    return out


def value(rng: np.random.Generator) -> object:
    """Draw a value of any type that JSON and TOML know."""
    choices: tuple[object, ...] = (
        0, -1, 1, 2**31, 2**63, 10**40, 0.5, -0.0, 1e308, float("nan"), float("inf"), True, False,
        "", "speech", "x" * 1000, "\x1b[31m", "\u0000", [], {}, [1, [2, [3]]], {"a": {"b": 1}},
        None,
    )  # fmt: skip
    return choices[int(rng.integers(len(choices)))]
