"""What fuzzing gives to calls, and the parsers that take any bytes; run as a script it feeds those with atheris.

`python tests/fuzzing.py TARGET --seconds N` runs one of `labels`, `scsi` and `toml` for so long, guided by coverage; it
needs the extra `fuzz` (`pip install -e '.[fuzz]'`). Without arguments it names the targets. It ends with a traceback at
the first input that raises anything but an error of ours, and writes that input to a file `crash-…`.
"""

import contextlib
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

# Values

UNKNOWN = uuid.UUID(int=2**100 + 1)
NUMBERS = (-1, 0, 1, 2, 5, 63, 255, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**70))
# No slash: text that names a file would be opened as one.
TEXT = st.text(st.characters(exclude_characters="/"), max_size=80)
ODD_TEXT = ("", "\\", "\\\\", "a\\b", "\0", "\ud800", "a\nb", "%s", "'; DROP TABLE object;--", "x" * 600, "ẞ" * 63)


def junk() -> st.SearchStrategy[Any]:
    """Draw what may be anything at all."""
    return st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.sampled_from(NUMBERS), st.floats(), st.binary(max_size=300)),
        *(TEXT, st.sampled_from(ODD_TEXT), st.uuids(), st.just(UNKNOWN), st.just(datetime(2030, 1, 1, tzinfo=UTC))),
        *(st.lists(st.integers(), max_size=3), st.just(object()), st.just({}), st.just(())),
    )


# Parsers of foreign bytes


def feed_labels(data: bytes) -> None:
    """Let every recogniser look at the beginning of a medium."""
    from rsm.labels import RECOGNISER, amanda, archives, bacula, disks, mtf, volume_labels

    for recogniser in (
        *(RECOGNISER, amanda.RECOGNISER, bacula.RECOGNISER, disks.RECOGNISER, mtf.RECOGNISER),
        *(volume_labels.RECOGNISER, volume_labels.LTFS_RECOGNISER),
        *(archives.TAR_RECOGNISER, archives.CPIO_RECOGNISER),
    ):
        recogniser.claim(data[: recogniser.maximum_bytes])


def feed_scsi(data: bytes) -> None:
    """Let every decoder look at the reply of a device."""
    from rsm.libraries.scsi import decode

    for decoder in (
        *(decode.decode_sense, decode.decode_inquiry, decode.decode_serial_number, decode.decode_device_ids),
        *(decode.decode_luns, decode.decode_supported, decode.decode_element_addresses, decode.decode_capabilities),
        *(decode.decode_tape_alerts, decode.decode_attributes, decode.decode_position),
        *(lambda reply, page=page: decode.decode_mode_page(reply, page) for page in (0x1D, 0x1F, 0x0F)),
        lambda reply: decode.decode_mode_page(reply, 0x1D, ten=True),
        lambda reply: decode.decode_log_parameters(reply, 0x2E),
        lambda reply: decode.decode_element_status(reply, range(1 << 16)),
        lambda reply: decode.decode_element_status(reply, range(1 << 16), keep_cut=True),
    ):
        with contextlib.suppress(decode.MalformedReplyError):
            decoder(data)


def feed_toml(data: bytes) -> None:
    """Let the two files of a virtual library be this."""
    from rsm.errors import InvalidLibraryError
    from rsm.libraries import virtual_files

    with contextlib.suppress(InvalidLibraryError):
        virtual_files.parse_layout(data, "library.toml")
    with contextlib.suppress(virtual_files.DamagedCartridgeError):
        virtual_files.parse_facts(data, "cartridge.toml")


TARGETS: dict[str, Callable[[bytes], None]] = {"labels": feed_labels, "scsi": feed_scsi, "toml": feed_toml}


def main(target: str, seconds: int) -> None:
    """Feed one target until the time is over."""
    import atheris

    with atheris.instrument_imports(include=["rsm", "tomllib"]):
        for feed in TARGETS.values():
            feed(b"")  # what it needs is imported at its first use
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=70000"], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in TARGETS and sys.argv[2] == "--seconds":
        main(sys.argv[1], int(sys.argv[3]))
    else:
        sys.exit(f"usage: fuzzing.py {'|'.join(TARGETS)} --seconds N")
