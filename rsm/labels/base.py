"""The contract of label formats: what a label says, and what a program brings that can read one.

Owns the value `Label` and the shape of a `Recogniser`. Never reads a medium and never decides whose a medium is.

Writing a recogniser
--------------------

A recogniser knows one label format: the mark that one backup program leaves at the start of its media. It is any object
(an instance or a module, not a class) with three attributes, and a fourth that may be left out:

* `name`: 1 to 63 printable characters, not only blanks; used in the log and to put recognisers in order.
* `maximum_bytes`: how many bytes `claim` wants to see, 1 to 1,048,576 (1 MiB). It is read once.
* `claim(head)`: returns the `Label` if these bytes are a label of the format, None if they are not.
* `types`: the types of the labels that `claim` returns, a tuple of texts. It is read once. With it RSM refuses to
  record a label that nobody here could ever read again; a recogniser without it may read labels of any type.

`head` is the first bytes recorded on the side, from byte 0: at most `maximum_bytes` of them, fewer when less was
recorded or could be read, none when the side is blank. Bytes that were recorded later on may follow the label.

* Claim only what is certain. Recognisers are asked in order, that of RSM's free label first, then the installed ones by
  name, then RSM's own of other programs' formats, and the first that answers with a `Label` is believed. A damaged or
  cut-off label is not a label: return None.
* An exception means "not recognised". It is logged with the logger `rsm.labels` and the next recogniser is asked; the
  same goes for an answer that is neither a `Label` nor None. To build a `Label` out of its limits raises.
* `claim` may be called from several threads at once, while a drive waits for the answer: look at the bytes, keep no
  state, open nothing, wait for nothing.
* `Label.type` names the format and is the same for all its labels; `Label.id` tells the format's media apart, so let
  it be unique; `Label.info` is text for people and may be empty. RSM compares type and id byte for byte.
* The type `RSM free` is RSM's own and means "may be written over"; from any other recogniser it is refused.

    from rsm.labels import Label

    class Nightly:
        name = "nightly"
        maximum_bytes = 512
        types = ("Nightly",)

        def claim(self, head: bytes) -> Label | None:
            if len(head) < 512 or not head.startswith(b"NIGHTLY1"):
                return None
            return Label("Nightly", head[8:24], head[24:88].rstrip(b"\\0").decode())

    RECOGNISER = Nightly()

A recogniser is registered by an entry point in the `pyproject.toml` of the distribution that brings it:

    [project.entry-points."rsm.labels"]
    nightly = "nightly.labels:RECOGNISER"

Once that is installed beside RSM it is found by every process that starts afterwards. One that cannot be imported, or
does not keep to the above, is logged and left out; importing it must not call `rsm.labels` functions.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Protocol

from rsm.constants import NTMS_OMIDLABELID_LENGTH, NTMS_OMIDLABELINFO_LENGTH, NTMS_OMIDLABELTYPE_LENGTH
from rsm.errors import InvalidParameterError

MAXIMUM_TYPE: Final = NTMS_OMIDLABELTYPE_LENGTH - 1
MAXIMUM_ID_BYTES: Final = NTMS_OMIDLABELID_LENGTH
MAXIMUM_INFO: Final = NTMS_OMIDLABELINFO_LENGTH - 1
MAXIMUM_HEAD_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class Label:
    """What a label says: its format, the medium's id in that format, and text for people.

    Raises:
        InvalidParameterError: `type` is not a text of 1 to 63 UTF-16 units without NUL and lone surrogates; `id` is
            not 1 to 255 bytes; `info` is not a text of at most 255 units without them.
    """

    type: str
    id: bytes
    info: str = ""

    def __post_init__(self) -> None:
        _check_text(self.type, "type", MAXIMUM_TYPE)
        if not self.type:
            raise InvalidParameterError("a label's type cannot be empty")
        if not isinstance(self.id, bytes) or not 0 < len(self.id) <= MAXIMUM_ID_BYTES:
            raise InvalidParameterError(f"a label's id has 1 to {MAXIMUM_ID_BYTES} bytes")
        _check_text(self.info, "text", MAXIMUM_INFO)


def _check_text(text: str, what: str, maximum: int) -> None:
    if not isinstance(text, str):
        raise InvalidParameterError(f"a label's {what} is text, not {type(text).__name__}")
    units = len(text) + sum(character > "\uffff" for character in text)
    if units > maximum:
        raise InvalidParameterError(f"a label's {what} has at most {maximum} UTF-16 units; this one has {units}")
    if "\0" in text or any(unicodedata.category(character) == "Cs" for character in text):
        raise InvalidParameterError(f"a label's {what} has no NUL and no lone surrogates")


class Recogniser(Protocol):
    """What reads one label format. See the text of this module for all that it has to keep to."""

    @property
    def name(self) -> str:
        """What the log calls it, and its place among the others."""

    @property
    def maximum_bytes(self) -> int:
        """How many bytes from the start of a recording `claim` wants at most."""

    def claim(self, head: bytes) -> Label | None:
        """Return the label that these bytes are, None if they are none of this format."""
