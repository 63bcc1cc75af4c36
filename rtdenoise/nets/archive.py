"""The archive of a TorchScript file, a ZIP, as strangers may have made it; nothing in it runs here.

It is read with bounds: how many entries, how many bytes, how much they may grow. The card can be
had from it without torch. `checked` returns a new archive for torch, which holds only what torch
needs and what was checked.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .card import EXTRA_FILE, Card
from .pickles import Classes, Numbers, Object, check_pickle
from .source import check_code

MOST_ENTRIES = 20_000
MOST_BYTES = 1 << 30  # all entries, unpacked
MOST_TEXT_BYTES = 1 << 25  # code and pickles, unpacked
MOST_CARD_BYTES = 1 << 20
MOST_GROWTH = 200  # unpacked bytes for one packed byte; torch packs only code, to a quarter
CODE = re.compile(r"code/(__torch__(?:/[A-Za-z0-9_]+)*)\.py")
RECORD = re.compile(r"(data|constants)/([0-9]+)")


class Archive:
    """The entries of a TorchScript file.

    Args:
        path: The file.

    Attributes:
        path: The file.

    Raises:
        ModelError: If there is no such file, it is no archive, it is damaged, or it breaks a bound.
    """

    def __init__(self, path: Path) -> None:
        if not os.path.isfile(path):
            raise ModelError(
                f"there is no model file {path}. Models in the box have names, not paths."
            )
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                self._entries = _entries(file)
        except ModelError as error:
            raise ModelError(f"{path} cannot be a model: {error}") from None
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
        ) as error:
            raise damaged(path, error) from None
        if "data.pkl" not in self._entries and self.extra(EXTRA_FILE) is None:
            raise damaged(path, "it has no data.pkl")

    @cached_property
    def card(self) -> Card:
        """The card in it.

        Raises:
            ModelError: If it has no card or a wrong one.
        """
        content = self.extra(EXTRA_FILE)
        if content is None:
            raise ModelError(
                f"{self.path} has no card. Save it with _extra_files={{'{EXTRA_FILE}': "
                "card.to_json()}; rtdenoise.Card lists the fields."
            )
        return Card.from_json(content)

    def extra(self, name: str) -> bytes | None:
        """Return the extra file *name* in it, or None."""
        return self._entries.get(f"extra/{name}")

    def root(self) -> Object:
        """Return the module in it as its data describes it: attributes by name; nothing is run.

        Raises:
            ModelError: If the data is not what it says, or is no module.
        """
        with self._told():
            root = self._read("data", check_code(self._code(), frozenset()).classes)
            if not isinstance(root, Object):
                raise ModelError("its data is no module")
        return root

    def numbers(self, tensor: Numbers) -> NDArray[Any]:
        """Return the values of a small *tensor* of `root` in the order of its record."""
        kind = {"LongStorage": np.int64, "FloatStorage": np.float32}.get(tensor.kind, np.uint8)
        record = np.frombuffer(self._entries[f"data/{tensor.record}"], kind)
        return record[tensor.offset :][: int(np.prod(tensor.shape, initial=1))]

    def _code(self) -> dict[str, bytes]:
        """Return the text of each file of code by its module."""
        matches = {name: CODE.fullmatch(name) for name in self._entries}
        return {
            match[1].replace("/", "."): self._entries[name]
            for name, match in matches.items()
            if match
        }

    def _read(self, pickled: str, classes: Classes) -> Any:
        """Return what the pickle called *pickled* holds, after a check of it."""
        if f"{pickled}.pkl" not in self._entries:
            raise ModelError(f"it has no {pickled}.pkl")
        sizes = {
            name.partition("/")[2]: len(entry)
            for name, entry in self._entries.items()
            if name.startswith(f"{pickled}/")
        }
        return check_pickle(self._entries[f"{pickled}.pkl"], sizes, classes)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Return a context whose errors name the file."""
        try:
            yield
        except ModelError as error:
            raise ModelError(
                f"{self.path} was not run: {error}. A net may compute, and nothing else: "
                "docs/models-from-strangers.md has the list"
            ) from None

    def checked(self, operators: frozenset[str]) -> io.BytesIO:
        """Return a new archive with the code, the pickles and the numbers, after a check of each.

        Args:
            operators: The names of all operators that torch has.

        Raises:
            ModelError: If the code could do anything but compute, or the data is not what it says.
        """
        with self._told():
            checked = check_code(self._code(), operators)
            for pickled in ("constants", "data"):
                self._read(pickled, checked.classes)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as new:
            for module, text in checked.texts.items():
                new.writestr(f"net/code/{module.replace('.', '/')}.py", text.encode("latin-1"))
            for name, entry in self._entries.items():
                if RECORD.fullmatch(name) or name in ("data.pkl", "constants.pkl"):
                    new.writestr(f"net/{name}", entry)
            for name in ("version", "byteorder"):  # large archives have them in .data
                entry = self._entries.get(name, self._entries.get(f".data/{name}", b""))
                if entry:
                    new.writestr(f"net/{name}", entry)
        made.seek(0)
        return made


def damaged(path: Path, reason: object) -> ModelError:
    """Return the error of a file that is no TorchScript archive, or not a whole one."""
    text = (str(reason).strip() or type(reason).__name__).splitlines()[0].split(". ")[0]
    return ModelError(
        f"{path} is not a TorchScript file, or it is damaged ({text[:200]}). Wanted: a file that "
        "`python -m train export` or torch.jit.save(..., _extra_files={'card.json': ..}) made."
    )


def _entries(file: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the entries by their names below the archive's one folder; read within the bounds."""
    infos = [info for info in file.infolist() if not info.filename.endswith("/")]
    if len(infos) > MOST_ENTRIES:
        raise ModelError(f"it has {len(infos)} entries, wanted at most {MOST_ENTRIES}")
    if (total := sum(info.file_size for info in infos)) > MOST_BYTES:
        raise ModelError(
            f"it unpacks to {total / 1e9:.1f} GB, wanted at most {MOST_BYTES / 1e9:.1f}"
        )
    found: dict[str, bytes] = {}
    text = 0
    for info in infos:
        name = info.filename.partition("/")[2]
        if info.flag_bits & 1:
            raise ModelError("an entry is encrypted")
        if info.file_size > max(1 << 16, MOST_GROWTH * info.compress_size):
            raise ModelError(
                f"an entry unpacks to {info.file_size} bytes from {info.compress_size}"
            )
        if name in found:
            raise ModelError(f"it has two entries {name[:80]!r}")
        text += 0 if RECORD.fullmatch(name) else info.file_size
        if name == f"extra/{EXTRA_FILE}" and info.file_size > MOST_CARD_BYTES:
            raise ModelError(
                f"its card has {info.file_size} bytes, at most {MOST_CARD_BYTES} can be"
            )
        if text > MOST_TEXT_BYTES:
            raise ModelError(f"its code has more than {MOST_TEXT_BYTES} bytes")
        found[name] = file.read(info)
    return found
