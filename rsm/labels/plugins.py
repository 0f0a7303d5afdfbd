"""The recognisers of this process: found by entry point, checked, put in order, and asked about a label.

Owns the list of recognisers, which is made once a process, and their order: the free label's, then those that were
installed, by name, then ours of other programs' formats, which are general: a plug-in knows its own program better, and
what that writes may well begin with a VOL1 or be a tar stream. Ours are there without any metadata. Never fails because
of a plug-in: one that misbehaves is logged with the logger `rsm.labels`, and the others go on. Never reads a medium: it
is given the bytes.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import threading
from dataclasses import dataclass
from typing import Any, Final

from rsm.labels.amanda import RECOGNISER as AMANDA_RECOGNISER
from rsm.labels.archives import CPIO_RECOGNISER, TAR_RECOGNISER
from rsm.labels.bacula import RECOGNISER as BACULA_RECOGNISER
from rsm.labels.base import MAXIMUM_HEAD_BYTES, Label, Recogniser
from rsm.labels.disks import RECOGNISER as DISK_RECOGNISER
from rsm.labels.free import RECOGNISER as FREE_RECOGNISER
from rsm.labels.free import is_free
from rsm.labels.mtf import RECOGNISER as MTF_RECOGNISER
from rsm.labels.volume_labels import LTFS_RECOGNISER
from rsm.labels.volume_labels import RECOGNISER as VOLUME_LABEL_RECOGNISER

GROUP: Final = "rsm.labels"
MAXIMUM_NAME: Final = 63
# What stands at byte 0 goes before a file system, whose superblock may be further on: what a user had backed up would
# otherwise be able to pass for the label of another medium.
FORMATS: Final[tuple[Recogniser, ...]] = (
    LTFS_RECOGNISER,
    VOLUME_LABEL_RECOGNISER,
    BACULA_RECOGNISER,
    AMANDA_RECOGNISER,
    MTF_RECOGNISER,
    TAR_RECOGNISER,
    CPIO_RECOGNISER,
    DISK_RECOGNISER,
)

_log = logging.getLogger("rsm.labels")


@dataclass(frozen=True)
class _Loaded:
    """A recogniser with what it said of itself when it was loaded; it is not asked again."""

    recogniser: Recogniser
    name: str
    maximum_bytes: int
    types: frozenset[str] | None


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.RLock()  # a plug-in that calls in while it is imported harms itself alone
        self.loaded: tuple[_Loaded, ...] | None = None

    def renew_lock(self) -> None:
        """Replace the lock in a child after fork: a thread that the child does not have may have held it."""
        self.lock = threading.RLock()


_cache = _Cache()
os.register_at_fork(after_in_child=_cache.renew_lock)


def load_recognisers() -> tuple[Recogniser, ...]:
    """Return the recognisers in the order they are asked: the free label's, the installed ones by name, ours.

    Entry points are looked at once a process. Of several recognisers with one name the first is kept, by entry point.
    """
    return tuple(loaded.recogniser for loaded in _load())


def head_bytes() -> int:
    """Return how many bytes from the start of a recording `recognise` can make use of."""
    return max(loaded.maximum_bytes for loaded in _load())


def recognise(head: bytes) -> Label | None:
    """Return the label at the start of a recording, None if no recogniser claims it; each sees its `maximum_bytes`."""
    for loaded in _load():
        label = _ask(loaded, bytes(head[: loaded.maximum_bytes]))
        if label is not None:
            return label
    return None


def is_type_known(label_type: str) -> bool:
    """Tell whether a recogniser of this process may ever read a label of that type."""
    return any(loaded.types is None or label_type in loaded.types for loaded in _load())


def forget_recognisers() -> None:
    """Look at the entry points again at the next call. For tests: modules that were imported stay imported."""
    with _cache.lock:
        _cache.loaded = None


def _ask(loaded: _Loaded, head: bytes) -> Label | None:
    try:
        answer: object = loaded.recogniser.claim(head)
        if answer is None:
            return None
        if not isinstance(answer, Label):
            raise TypeError(f"the answer is no label but {type(answer).__name__}")
        if is_free(answer) and loaded.recogniser is not FREE_RECOGNISER:
            raise ValueError("the answer is a free label, which RSM alone recognises")
    except Exception:  # noqa: BLE001 - the plug-in's own mistake, of whatever kind, is not the caller's
        _log.warning("label recogniser %a failed; the label counts as unrecognised by it", loaded.name, exc_info=True)
        return None
    return answer


def _load() -> tuple[_Loaded, ...]:
    with _cache.lock:
        if _cache.loaded is None:
            _cache.loaded = _find_recognisers()
        return _cache.loaded


def _find_recognisers() -> tuple[_Loaded, ...]:
    free, *formats = own = [_check(recogniser) for recogniser in (FREE_RECOGNISER, *FORMATS)]
    names = {loaded.name for loaded in own}
    installed: list[_Loaded] = []
    for point in _find_entry_points():
        loaded = _load_entry_point(point)
        if loaded is None or any(loaded.recogniser is ours.recogniser for ours in own):
            continue
        if loaded.name in names:
            _log.warning("label recogniser %a is there already; %s is left out", loaded.name, point.value)
            continue
        names.add(loaded.name)
        installed.append(loaded)
    return free, *sorted(installed, key=lambda loaded: loaded.name), *formats


def _find_entry_points() -> list[importlib.metadata.EntryPoint]:
    try:
        return sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    except Exception:  # noqa: BLE001 - the metadata of any distribution may be damaged, and raises as it likes
        _log.warning("the installed label recognisers cannot be listed; only RSM's own are used", exc_info=True)
        return []


def _load_entry_point(point: importlib.metadata.EntryPoint) -> _Loaded | None:
    try:
        return _check(point.load())
    except (Exception, SystemExit):  # noqa: BLE001 - as above; an exit would end a thread without a word
        _log.warning("label recogniser %s cannot be used and is left out", point.value, exc_info=True)
        return None


def _check(candidate: Any) -> _Loaded:
    """Return a candidate that is a recogniser.

    Raises:
        TypeError: it is a class, or has not the attributes of a recogniser, or one of the wrong type.
        ValueError: its name or its number of bytes is out of bounds.
    """
    if isinstance(candidate, type):
        raise TypeError("a class was registered: register an instance of it")
    name, maximum_bytes, types = candidate.name, candidate.maximum_bytes, getattr(candidate, "types", None)
    if not callable(candidate.claim):
        raise TypeError("claim is not a function")
    if not isinstance(name, str) or not isinstance(maximum_bytes, int) or isinstance(maximum_bytes, bool):
        raise TypeError("name is not a text, or maximum_bytes not a whole number")
    if not (name.strip() and name.isprintable() and len(name) <= MAXIMUM_NAME):
        raise ValueError(f"name is not 1 to {MAXIMUM_NAME} printable characters")
    if not 1 <= maximum_bytes <= MAXIMUM_HEAD_BYTES:
        raise ValueError(f"maximum_bytes is not 1 to {MAXIMUM_HEAD_BYTES}")
    if types is None:
        return _Loaded(candidate, name, maximum_bytes, None)
    if not isinstance(types, tuple) or not all(isinstance(label_type, str) for label_type in types):
        raise TypeError("types is not a tuple of texts")
    return _Loaded(candidate, name, maximum_bytes, frozenset(types))
