"""What a server offers: models and boards by name, each loaded once, and what a stream of it costs.

A client gives a name, and never a path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..chain.board import within
from ..chain.boardfile import board_of, open_board
from ..chain.effect import Denoise, Effect, with_strength
from ..chain.native import is_external
from ..core.blend import Strength
from ..core.counters import Counters
from ..errors import UsageError, printable
from ..nets.box import find
from ..nets.net import Net
from .lane import Lane
from .pool import Shared, core_share
from .protocol import Hello

TOGETHER = 16  # streams at once, when the cost of a stream is measured
USUAL_HZ = 48_000  # rate of the streams of a board without a net
CLOSE = 1e-4  # difference of two answers of a net that is only rounding; full scale is 1


class Menu:
    """The models and the boards of a server.

    Args:
        models: Names of models in the box, paths of model files, or loaded nets.
        boards: Paths of board files; a board's name is that of its file without the suffix.

    Raises:
        ModelError: If a model cannot be loaded.
        UsageError: If a board cannot be read or cannot stream, two things have one name, or there
            is nothing.
    """

    def __init__(
        self, models: Iterable[str | Path | Net], boards: Iterable[str | Path] = ()
    ) -> None:
        self._make: dict[str, Callable[[Strength], Effect]] = {}
        self._own_rates: dict[str, int | None] = {}
        self._kept: list[Any] = []  # nets of boards, which the box would else forget and load again
        self._alone: dict[int, bool] = {}
        for model in models:
            net = find(model) if isinstance(model, str | Path) else model
            given = isinstance(model, str | Path) and not Path(model).suffix
            self._add(str(model) if given else net.card.name, self._of_net(net))
        for board in boards:
            self._add(Path(board).stem, self._of_board(Path(board)))
        if not self._make:
            raise UsageError("nothing to serve: wanted a model or a board")

    def _add(self, name: str, make: Callable[[Strength], Effect]) -> None:
        if name in self._make:
            raise UsageError(f"two models or boards are called {printable(name)}: rename one")
        self._make[name], self._own_rates[name] = make, make(Strength()).own_rate

    @property
    def names(self) -> list[str]:
        """The names, the default first."""
        return list(self._make)

    def effect(self, hello: Hello) -> Effect:
        """Return the effect that a client asks for, with nets that the hub calls.

        Raises:
            UsageError: If there is no such model or board.
        """
        name = self.named(hello)
        return self._make[name](hello.strength)

    def named(self, hello: Hello) -> str:
        """Return the name of what a client asks for."""
        name = hello.model or self.names[0]
        if name not in self._make:
            told = printable(repr(name)[:80])
            raise UsageError(f"no model {told} here; this server has: {', '.join(self.names)}")
        return name

    def own_rate(self, name: str) -> int | None:
        """Return the rate in Hz at which the first net of *name* works. None: it has no net."""
        return self._own_rates[name]

    def lane(self, hello: Hello) -> Lane:
        """Return a new stream of the pool; the first one of a rate takes up to a second."""
        effect, counters = self.effect(hello), Counters()
        stage = effect.stage(hello.stream, counters)
        hop_s = (effect.own_hop or 0) / effect.own_rate if effect.own_rate else None
        return Lane(hello, stage, counters, hop_s)

    def prepare_thread(self) -> None:
        """Prepare the calling thread for all nets."""
        for name in self.names:
            self.effect(Hello(USUAL_HZ, model=name)).prepare_thread()

    def _of_net(self, net: Net) -> Callable[[Strength], Effect]:
        shared = self._shared(net)

        def make(strength: Strength) -> Effect:
            return Denoise(shared(), strength.mix, strength.atten_lim_db, strength.residual)

        return make

    def _of_board(self, path: Path) -> Callable[[Strength], Effect]:
        first, text = open_board(path), path.read_text(encoding="utf-8-sig")
        parts = list(within(first))
        self._kept.append(first)
        if any(map(is_external, parts)):
            raise UsageError(
                f"the board {path} has a VST3 plugin, which one stream at a time can use: "
                "wanted models, boards of pedalboard's own plugins and effects in Python"
            )
        nets = {id(e.net): self._shared(e.net) for e in parts if isinstance(e, Denoise)}

        def make(strength: Strength) -> Effect:
            board = board_of(text, str(path))
            for effect in within(board):
                if isinstance(effect, Denoise):
                    shared = nets.get(id(effect.net)) or self._shared(effect.net)
                    effect.net = shared()
            return with_strength(board, strength)

        make(Strength()).stage(Hello(USUAL_HZ).stream)  # a board that cannot stream says so now
        return make

    def _shared(self, net: Net) -> Callable[[], Any]:
        """Return a function that gives the net of a new stream."""
        if net.holds_state:
            return lambda: net
        alone = self._alone.setdefault(id(net), not independent(net))
        return lambda: Shared(net, alone)

    def cost(self, name: str, rate: int | None = None) -> float:
        """Measure the share of a core that a stream of one channel takes among others.

        Args:
            name: The model or the board.
            rate: Sample rate in Hz. None: its own, at which nothing is resampled.
        """
        own = self.own_rate(name) or USUAL_HZ
        hello = Hello(rate or own, model=name)
        return core_share([self.lane(hello) for _ in range(TOGETHER)])


def independent(net: Net) -> bool:
    """Return whether the channels of *net* do not depend on each other, as the contract says.

    A stream must never hear another one. A net of a stranger that breaks this is called once for
    each stream.
    """
    random = np.random.default_rng(0)
    pair = (0.1 * random.standard_normal((2, 1, net.card.window))).astype(np.float32)
    try:
        both = net(pair, net.initial_state(2))
        one = net(pair[:1].copy(), net.initial_state(1))
    except Exception:  # a net may raise anything
        return False
    return all(
        np.allclose(ours[:1], alone, rtol=CLOSE, atol=CLOSE)
        for ours, alone in zip(both, one, strict=True)
    )
