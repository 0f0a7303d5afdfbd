"""Calls that SQLite has too little memory for: with so many bytes more at each step, from too few to enough.

`python memory.py FOLDER STEP_BYTES NAME…` makes each call again and again until it succeeds twice, each time on a fresh
copy of the same catalogue, and in a child of its own: the limit that SQLite keeps is its process's and can never be
raised. It prints a line for each call with the steps: what became of it at which limit, whether the catalogue changed,
and what is wrong with it then.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import changing_calls
import faults
import sqlite_files
from changing_calls import Call, Made

import rsm
from rsm import schema

MOST_STEPS = 1_000
EXPORT = "export the catalogue"


def _export(session: rsm.Session, _made: Made) -> object:
    return session.catalogue.export_to(Path(session.database.removeprefix("sqlite:///")).with_name("export"))


CALLS: dict[str, Call] = {
    **{name: call for name, call in changing_calls.CALLS.items() if not call.of_a_session},
    EXPORT: Call(changing_calls.prepare_pools, _export),
}


class Steps:
    """One call on one catalogue, made with more memory at each step."""

    def __init__(self, folder: Path, call: Call) -> None:
        self.path, self.kept, self.call = folder / "media.db", folder / "kept.db", call
        for left in folder.glob("media.db*"):
            left.unlink()
        shutil.copy(folder / "template.db", self.path)
        with self.open() as session:
            self.made = call.prepare(self.url, session, folder / "robot")
        shutil.copy(self.path, self.kept)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def open(self) -> rsm.Session:
        return rsm.connect(self.path, worker=False, caller=faults.ADMINISTRATOR)

    def climb(self, step_bytes: int) -> dict[str, Any]:
        """Give more and more memory until it is enough, and tell what came of each step."""
        steps: list[dict[str, Any]] = []
        least = 1
        while sum(step["code"] == "ERROR_SUCCESS" for step in steps) < 2 and len(steps) < MOST_STEPS:
            step = self._step(1 if not steps else least + len(steps) * step_bytes)
            least = least if steps else step["used_bytes"]
            steps.append(step)
        return {"steps": steps, "used_bytes": least}

    def _step(self, limit: int) -> dict[str, Any]:
        for left in self.path.parent.glob("media.db*"):
            left.unlink()
        shutil.copy(self.kept, self.path)
        with faults.watching(self.url) as watcher:
            before = watcher.rows()
            seen: dict[str, Any] = faults.in_child(lambda: self._call_within(limit))
            changed = watcher.rows() != before
        with self.open() as session:
            faults.check_writable(session)
        return {"limit": limit, **seen, "changed": changed, "findings": schema.check(str(self.path))}

    def _call_within(self, limit: int) -> dict[str, Any]:
        session = self.open()
        session.pools.list()
        used = sqlite_files.memory_used()
        faults.limit_memory(limit)
        return {**faults.outcome(lambda: self.call.make(session, self.made)), "used_bytes": used}


def main(folder: Path, step_bytes: int, names: list[str]) -> None:
    """Tell of each call how it went."""
    for name in names:
        told = Steps(folder, CALLS[name]).climb(step_bytes)
        print(json.dumps({"name": name, **told}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
