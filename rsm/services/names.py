"""What may be called what: the syntax of names, pool paths and texts. Pure, no database.

Lengths are UTF-16 units, as the header's arrays count them without the final NUL.
"""

import unicodedata

from rsm.constants import (
    NTMS_APPLICATIONNAME_LENGTH,
    NTMS_BARCODE_LENGTH,
    NTMS_DESCRIPTION_LENGTH,
    NTMS_MAXATTR_NAMELEN,
    NTMS_OBJECTNAME_LENGTH,
    NTMS_OMIDLABELINFO_LENGTH,
    NTMS_OMIDLABELTYPE_LENGTH,
    NTMS_POOLHIERARCHY_LENGTH,
)
from rsm.errors import InvalidNameError, InvalidParameterError

SEPARATOR = "\\"
MAXIMUM_NAME = NTMS_OBJECTNAME_LENGTH - 1
MAXIMUM_PATH = NTMS_POOLHIERARCHY_LENGTH - 1


def units(text: str) -> int:
    """Return the length in UTF-16 units, lone surrogates counting as one."""
    return len(text) if text.isascii() else len(text) + sum(character > "\uffff" for character in text)


def is_clean(text: str) -> bool:
    """Tell whether the text has neither control characters nor lone surrogates."""
    return text.isprintable() or not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def check_name(name: str, what: str = "name", *, may_be_empty: bool = False) -> str:
    """Return a name of one object.

    Raises:
        InvalidNameError: it is empty, longer than 63 units, or has control characters or lone surrogates.
    """
    if name.isascii() and name.isprintable() and 0 < len(name) <= MAXIMUM_NAME:
        return name  # as nearly all are
    if not name and not may_be_empty:
        raise InvalidNameError(f"a {what} cannot be empty")
    if units(name) > MAXIMUM_NAME:
        raise InvalidNameError(f"a {what} has at most {MAXIMUM_NAME} UTF-16 units; this one has {units(name)}")
    if not is_clean(name):
        raise InvalidNameError(f"a {what} has no control characters and no lone surrogates: {name!a}")
    return name


def fit_name(text: str) -> str:
    """Return as much of a text as a name can hold: without control characters, at most 63 units."""
    fitting = "".join(character for character in text if is_clean(character))
    while units(fitting) > MAXIMUM_NAME:
        fitting = fitting[:-1]
    return fitting


def check_level(name: str) -> str:
    """Return the name of one level of a pool path.

    Raises:
        InvalidNameError: as `check_name`, or it holds the separator.
    """
    if SEPARATOR in name:
        raise InvalidNameError(f"a pool's own name holds no backslash: {name!a}")
    return check_name(name, "pool name")


def parse_path(path: str) -> tuple[str, ...]:
    """Return the levels of a pool path; the first backslash may be left out, `\\` alone is the root.

    Raises:
        InvalidNameError: a level is empty, over-long or holds control characters; the path has more than 511 units.
    """
    if path == SEPARATOR:
        return ()
    levels = path.removeprefix(SEPARATOR).split(SEPARATOR)
    for level in levels:
        check_name(level, "pool name")
    if 2 * (len(path) + 1) > MAXIMUM_PATH:  # no character has more than two units
        check_path_length(join_path(levels))
    return tuple(levels)


def join_path(levels: "list[str] | tuple[str, ...]") -> str:
    """Return the full name of the pool with these levels."""
    return SEPARATOR + SEPARATOR.join(levels)


def check_path_length(path: str) -> None:
    """Refuse a full pool name that is too long.

    Raises:
        InvalidNameError: it has more than 511 units.
    """
    if units(path) > MAXIMUM_PATH:
        raise InvalidNameError(f"a full pool name has at most {MAXIMUM_PATH} UTF-16 units; this one has {units(path)}")


def check_attribute_name(name: str) -> str:
    """Return the name of an attribute.

    Raises:
        InvalidNameError: it is empty, longer than 31 units, or has control characters or lone surrogates.
    """
    if not name or units(name) > NTMS_MAXATTR_NAMELEN - 1 or not is_clean(name):
        raise InvalidNameError(f"an attribute's name has 1 to {NTMS_MAXATTR_NAMELEN - 1} clean characters: {name!a}")
    return name


def _text(text: str, what: str, length: int) -> str:
    if not text:
        return text
    if units(text) > length - 1:
        raise InvalidParameterError(f"a {what} has at most {length - 1} UTF-16 units; this one has {units(text)}")
    if "\0" in text or any(unicodedata.category(character) == "Cs" for character in text):
        raise InvalidParameterError(f"a {what} has no NUL and no lone surrogates")
    return text


def check_description(text: str) -> str:
    """Return a description: at most 126 units, no NUL (InvalidParameterError)."""
    return _text(text, "description", NTMS_DESCRIPTION_LENGTH)


def check_barcode(text: str) -> str:
    """Return a bar code without trailing blanks: at most 63 units, no NUL (InvalidParameterError)."""
    return _text(text.rstrip(" "), "bar code", NTMS_BARCODE_LENGTH)


def check_label_type(text: str) -> str:
    """Return a label type: 1 to 63 units, no NUL (InvalidParameterError)."""
    if not text:
        raise InvalidParameterError("a side's label type cannot be empty")
    return _text(text, "label type", NTMS_OMIDLABELTYPE_LENGTH)


def check_label_info(text: str) -> str:
    """Return a label's free text: at most 255 units, no NUL (InvalidParameterError)."""
    return _text(text, "label text", NTMS_OMIDLABELINFO_LENGTH)


def check_application(text: str) -> str:
    """Return an application's name: at most 63 units, clean (InvalidParameterError)."""
    if not is_clean(text):
        raise InvalidParameterError("an application's name has no control characters")
    return _text(text, "application name", NTMS_APPLICATIONNAME_LENGTH)
