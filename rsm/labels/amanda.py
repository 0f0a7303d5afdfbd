"""The label at the start of an Amanda tape.

Owns the format: one line of text, a form feed in a line of its own, and NULs that fill a block of 32 KiB. The date is
that of the run that wrote the tape last, or `X`; only the label stays the same, so it alone is the id.

    AMANDA: TAPESTART DATE 20300501120000 TAPE Daily-017
"""

from __future__ import annotations

import re
from typing import Final

from rsm.labels.base import Label
from rsm.labels.fields import FormatRecogniser, decode_info, require

AMANDA_TYPE: Final = "Amanda"

_LABEL: Final = re.compile(rb"AMANDA: TAPESTART DATE (?:X|[0-9]{8,14}) TAPE (?P<label>[^\0\n\f]{1,255})\n\f\n")


def _read_label(head: bytes) -> Label:
    found = _LABEL.match(head)
    require(found is not None)
    assert found is not None
    return Label(AMANDA_TYPE, found["label"], decode_info(found["label"]))


RECOGNISER: Final = FormatRecogniser("amanda", 512, _read_label, (AMANDA_TYPE,))
