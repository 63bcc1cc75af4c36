"""The SQLite data base of a listening test: listeners, their orders, ratings as they come."""

from __future__ import annotations

import json
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from rtdenoise.errors import UsageError

from ..errors import ArgumentError
from .stimuli import REFERENCE, Test

SCHEMA = """
CREATE TABLE IF NOT EXISTS test (id TEXT, title TEXT, method TEXT, systems TEXT, digest TEXT);
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, started REAL, agent TEXT);
CREATE TABLE IF NOT EXISTS stimuli (
    token TEXT PRIMARY KEY, session TEXT REFERENCES sessions, page INTEGER, place INTEGER,
    item TEXT, system TEXT, open INTEGER);
CREATE INDEX IF NOT EXISTS stimuli_of ON stimuli (session);
CREATE TABLE IF NOT EXISTS ratings (
    token TEXT PRIMARY KEY REFERENCES stimuli, value REAL, plays INTEGER, at REAL);
"""
RANGES = {"mushra": (0, 100), "acr": (1, 5)}


@contextmanager
def connected(path: Path, write: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a connection for one transaction; processes wait for each other up to 20 s.

    Args:
        path: File of the data base.
        write: Whether the transaction writes. It then has the lock from its beginning: one that
            reads first and asks for the lock later is refused at once if another wrote meanwhile.

    Raises:
        UsageError: the file is no data base, or cannot be written.
    """
    try:
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as db, db:
            if write:
                db.execute("BEGIN IMMEDIATE")
            yield db
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path}: {error}") from None


class Store:
    """The data base of one listening test: listeners, their orders, their ratings.

    Args:
        path: File of the data base; an existing one has to be of the same test.
        title: Heading of the page.
        method: mushra or acr.
        test: The sounds of the test.

    Raises:
        UsageError: the file holds another test, or cannot be written.
    """

    def __init__(self, path: Path, title: str, method: str, test: Test) -> None:
        self.path, self.title, self.method, self.test = path, title, method, test
        self._turn = Lock()  # the threads of this process write in the order in which they came
        with connected(path) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)
        with connected(path, write=True) as db:
            row = db.execute("SELECT id, method, digest FROM test").fetchone()
            if row is None:
                row = (secrets.token_hex(4), method, test.digest)
                systems = json.dumps(test.systems)
                db.execute(
                    "INSERT INTO test VALUES (?, ?, ?, ?, ?)",
                    (row[0], title, method, systems, test.digest),
                )
        if row[1:] != (method, test.digest):
            raise ArgumentError(
                f"{path} holds ratings of another test ({row[1]}, other sounds or other items)",
                "path",
            )
        self.id = str(row[0])

    def session(self, begun: str | None, agent: str) -> dict[str, Any]:
        """Return a listener's plan: the one they began, or a new one in random order.

        The plan does not reveal which system a token stands for.

        Args:
            begun: Identifier of the session that the listener began, if any.
            agent: The browser's name, which is stored with a new session.
        """
        with self._turn, connected(self.path, write=True) as db:
            row = db.execute("SELECT id FROM sessions WHERE id = ?", (begun or "",)).fetchone()
            session = row[0] if row else self._begin(db, agent)
            rows = db.execute(
                "SELECT page, token, open, value, plays FROM stimuli LEFT JOIN ratings USING "
                "(token) WHERE session = ? ORDER BY page, place",
                (session,),
            ).fetchall()
        pages: list[dict[str, Any]] = []
        for page, token, is_open, value, plays in rows:
            if page == len(pages):
                pages.append({"reference": None, "stimuli": []})
            if is_open:
                pages[page]["reference"] = token
            else:
                pages[page]["stimuli"].append({"token": token, "value": value, "plays": plays or 0})
        return {
            "test": self.id,
            "session": session,
            "title": self.title,
            "method": self.method,
            "pages": pages,
        }

    def _begin(self, db: sqlite3.Connection, agent: str) -> str:
        session = secrets.token_hex(16)
        rng = random.Random(session)  # an order of the listener's own
        items = list(self.test.items)
        rng.shuffle(items)
        rows: list[tuple[Any, ...]] = []
        if self.method == "mushra":
            for page, item in enumerate(items):
                systems = list(self.test.systems)
                rng.shuffle(systems)
                rows.append((page, -1, item, REFERENCE, 1))
                rows += [(page, place, item, s, 0) for place, s in enumerate(systems)]
        else:
            single = [(item, system) for item in items for system in self.test.systems]
            rng.shuffle(single)
            rows += [(page, 0, item, system, 0) for page, (item, system) in enumerate(single)]
        db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (session, time.time(), agent[:200]))
        db.executemany(
            "INSERT INTO stimuli VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(secrets.token_hex(16), session, *row) for row in rows],
        )
        return session

    def rate(self, session: str, token: str, value: float, plays: int) -> None:
        """Save a rating or change it.

        Raises:
            ValueError: the value is out of range, the stimulus was not played, or the listener has
                no such stimulus.
        """
        low, high = RANGES[self.method]
        if not low <= value <= high:
            raise ValueError(f"the value is {value}, wanted {low} to {high}")
        if plays < 1:
            raise ValueError("the stimulus was not played yet")
        with self._turn, connected(self.path, write=True) as db:
            row = db.execute(
                "SELECT 1 FROM stimuli WHERE token = ? AND session = ? AND open = 0",
                (token, session),
            ).fetchone()
            if row is None:
                raise ValueError("the listener has no such stimulus")
            db.execute(
                "INSERT INTO ratings VALUES (?, ?, ?, ?) ON CONFLICT (token) DO UPDATE SET "
                "value = excluded.value, plays = excluded.plays, at = excluded.at",
                (token, value, plays, time.time()),
            )

    def sound(self, token: str) -> bytes | None:
        """Return the WAV file of a token, or None if the token is unknown."""
        with connected(self.path) as db:
            row = db.execute(
                "SELECT item, system FROM stimuli WHERE token = ?", (token,)
            ).fetchone()
        return self.test.wavs[row] if row else None
