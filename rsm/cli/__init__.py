"""The `rsm` command: its entry point.

Owns nothing but the way in. Typer and rich come with the extra `cli`; without them one line says so. Never imported by
`import rsm`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA_PACKAGES = frozenset({"typer", "click", "rich"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `argv` (None: the process's own arguments) and return its exit status.

    0 done; 1 refused or failed by RSM; 2 wrong usage; 130 interrupted; 141 nobody reads the answer any more.
    """
    try:
        from rsm.cli.application import run_command
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA_PACKAGES:
            raise
        print(
            "rsm: the command line needs typer and rich: pip install 'removable-storage-manager[cli]'", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:  # while the modules are read nothing was begun
        return 130
    return run_command(sys.argv[1:] if argv is None else argv)
