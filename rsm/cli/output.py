"""What the command prints: tables for people, one JSON document, or tab-separated lines; and errors.

Owns every byte that goes to standard output and standard error. Never opens a catalogue and never decides an exit
status.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import io
import itertools
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO, Generic, TextIO, TypeVar

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

COPIED_BYTES = 1 << 20
# Wide enough that no row is wrapped or cut where nobody looks at a screen.
_UNBOUNDED_WIDTH = 100_000
_WHOLE_NAME_WIDTH = 36
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_NAMES = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


class OutputLost(Exception):
    """Standard output or standard error cannot be written; `cause` is the operating system's error."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Form(enum.Enum):
    """The three forms of an answer."""

    PEOPLE = "people"
    JSON = "json"
    PLAIN = "plain"


@dataclasses.dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a listing: its heading, and how a row's value is read."""

    heading: str
    read: Callable[[T], object]


# --- values as text -------------------------------------------------------------------------------------------------


def escape_control(text: str) -> str:
    """Return `text` with control characters spelled out, so that a line stays a line and a terminal is not steered."""
    return _CONTROL.sub(lambda found: _CONTROL_NAMES.get(found[0], f"\\x{ord(found[0]):02x}"), text)


def format_instant(moment: datetime.datetime) -> str:
    """Return `moment` as ISO 8601 in UTC, ending in Z."""
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def flag_names(flags: enum.Flag) -> list[str]:
    """Return the header names of the flags that are set, lowest first; a bit without a name as its number."""
    names = [member.name for member in type(flags) if member in flags and member.name]
    known = 0
    for member in type(flags):
        known |= member.value
    unnamed = flags.value & ~known
    return [*names, str(unnamed)] if unnamed else names


def short_name(kind: type[enum.Enum], name: str) -> str:
    """Return a header name without what all names of its enum begin with: `NTMS_POOLTYPE_IMPORT` is `import`."""
    columns_of_words = zip(*(member.split("_") for member in kind.__members__), strict=False)
    common = sum(1 for _ in itertools.takewhile(lambda words: len(set(words)) == 1, columns_of_words))
    return ("_".join(name.split("_")[common:]) or name).lower()


def as_document(value: object) -> Any:
    """Return `value` as what a JSON document holds: enums by header name, ids hyphenated, times ISO 8601, bytes hex."""
    if isinstance(value, enum.Flag):
        return flag_names(value)
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        return format_instant(value)
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_document(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): as_document(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_document(item) for item in value]
    return value


def record_fields(value: object, **shown: object) -> list[tuple[str, object]]:
    """Return the fields of a value with their names, those in `shown` with what stands there instead."""
    assert dataclasses.is_dataclass(value)
    names = [field.name for field in dataclasses.fields(value)]
    return [(name, shown.get(name, getattr(value, name))) for name in names]


def as_plain(value: object) -> str:
    """Return `value` as one field of a tab-separated line; nothing is the empty field."""
    document = as_document(value)
    if document is None:
        return ""
    if isinstance(document, bool):
        return "true" if document else "false"
    if isinstance(document, list):
        return escape_control(",".join(as_plain(item) for item in document))
    if isinstance(document, dict):
        return escape_control(json.dumps(document, ensure_ascii=False))
    return escape_control(str(document))


def as_text(value: object) -> str:
    """Return `value` as people read it; nothing is a dash."""
    if value is None or value in ("", b""):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Flag):
        return ", ".join(short_name(type(value), name) for name in flag_names(value)) or "-"
    if isinstance(value, enum.Enum):
        return short_name(type(value), value.name).replace("_", " ")
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return text if text and text.isprintable() and "\ufffd" not in text else f"0x{value.hex()}"
    return as_plain(value)


# --- the three forms ------------------------------------------------------------------------------------------------


class Output:
    """Prints answers in one form; each verb prints exactly one answer."""

    def __init__(self, form: Form) -> None:
        self.form = form

    def show_list(self, values: Iterable[T], columns: Sequence[Column[T]], *, nothing: str = "nothing") -> None:
        """Print a listing: a table, a JSON array of the whole values, or a line a value."""
        rows = list(values)
        if self.form is Form.JSON:
            self.print_document(rows)
        elif self.form is Form.PLAIN:
            self.print_fields([column.read(row) for column in columns] for row in rows)
        elif not rows:
            self._render(sys.stdout, Text(nothing, style="dim"))
        else:
            self._render(sys.stdout, _build_table(rows, columns))

    def show_record(self, document: object, fields: Sequence[tuple[str, object]]) -> None:
        """Print one object: two columns, `document` as JSON, or a line a field."""
        if self.form is Form.JSON:
            self.print_document(document)
        elif self.form is Form.PLAIN:
            self.print_fields(fields)
        else:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(style="bold", no_wrap=True)
            grid.add_column(overflow="fold")
            for name, value in fields:
                grid.add_row(name.replace("_", " "), Text(as_text(value)))
            self._render(sys.stdout, grid)

    def show_names(self, objects: Sequence[Any]) -> None:
        """Print the names of objects, one a line; with ids before them, or the whole objects, in the other forms."""
        if self.form is Form.JSON:
            self.print_document(objects)
        elif self.form is Form.PLAIN:
            self.print_fields((each.id, each.name) for each in objects)
        else:
            self.print_lines(escape_control(each.name) for each in objects)

    def show_parts(self, values: Sequence[T], columns: Sequence[Column[T]], *, title: str, line_name: str) -> None:
        """Print what belongs to a record: a titled table, or lines that begin with `line_name`; JSON has it already."""
        if self.form is Form.PLAIN:
            self.print_fields((line_name, *(column.read(value) for column in columns)) for value in values)
        elif self.form is Form.PEOPLE and values:
            self.print_text(f"\n{title}", style="bold")
            self._render(sys.stdout, _build_table(values, columns))

    def show_drawing(self, drawing: Text, lines: Iterable[Sequence[object]]) -> None:
        """Print a drawing whose lines fit a screen as they are, or `lines` of values; JSON has it already."""
        if self.form is Form.PLAIN:
            self.print_fields(lines)
        elif self.form is Form.PEOPLE:
            self._render(sys.stdout, drawing)

    def show_done(self, sentence: str, document: object, plain: object) -> None:
        """Print what was done: a sentence, `document` as JSON, or `plain` on a line of its own."""
        if self.form is Form.JSON:
            self.print_document(document)
        elif self.form is Form.PLAIN:
            self.print_fields([(plain,)])
        else:
            self.print_text(sentence)

    def show_rehearsal(self, would: str) -> None:
        """Print what a dry run would have done."""
        self.show_done(f"Would {would}; nothing was changed.", {"dry_run": True, "would": would}, f"would {would}")

    def print_text(self, sentence: str, *, style: str = "") -> None:
        """Print a line to people; the other forms have no sentences."""
        if self.form is Form.PEOPLE:
            self._render(sys.stdout, Text("\n".join(map(escape_control, sentence.split("\n"))), style=style))

    def print_document(self, document: object) -> None:
        """Print `document` as JSON on standard output."""
        _write(sys.stdout, _dump(document, sys.stdout))

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print `lines`, which hold no line ends of their own, on standard output."""
        _write(sys.stdout, "".join(f"{line}\n" for line in lines))

    def print_fields(self, lines: Iterable[Sequence[object]]) -> None:
        """Print `lines` of values with tabs between, on standard output."""
        self.print_lines("\t".join(as_plain(value) for value in line) for line in lines)

    def print_error(self, name: str, code: int, message: str) -> None:
        """Print an error on standard error: one line, or one JSON document."""
        text = " ".join(message.split())
        if self.form is Form.JSON:
            _write(sys.stderr, _dump({"error": name, "code": code, "message": text}, sys.stderr))
        else:
            heading = Text(f"{name} ({code}):", style="bold red")
            self._render(sys.stderr, Text.assemble(heading, " ", escape_control(text)))

    def print_question(self, question: str) -> None:
        """Print a question to a person, on standard error, and stay on its line."""
        _write(sys.stderr, escape_control(question))
        flush_output()

    def print_progress(self, text: str) -> None:
        """Print what is waited for in place of what was printed so before, to people at a terminal only."""
        if self.form is Form.PEOPLE and is_terminal(sys.stderr):
            room = shutil.get_terminal_size().columns - 1
            _write(sys.stderr, f"\r\x1b[K{escape_control(text)[:room]}")
            flush_output()

    def print_log(self, sentence: str, document: Mapping[str, object]) -> None:
        """Print a line about what just happened, on standard error: a sentence, `document`, or its fields."""
        if self.form is Form.JSON:
            _write(sys.stderr, _dump(document, sys.stderr, indent=None))
        elif self.form is Form.PLAIN:
            _write(sys.stderr, "\t".join(as_plain(value) for value in document.values()) + "\n")
        else:
            _write(sys.stderr, f"{escape_control(sentence)}\n")
        flush_output()

    def copy_out(self, file: BinaryIO) -> int:
        """Copy a file to standard output as it is, and return how many bytes it was.

        Raises:
            OSError: the file cannot be read.
        """
        copied = 0
        while piece := file.read(COPIED_BYTES):
            try:
                sys.stdout.buffer.write(piece)
            except OSError as error:
                raise OutputLost(error) from error
            copied += len(piece)
        flush_output()
        return copied

    def print_usage(self, lines: Sequence[str]) -> None:
        """Print how a command is used, on standard error."""
        _write(sys.stderr, "".join(f"{escape_control(line)}\n" for line in lines))

    def _render(self, stream: TextIO, renderable: RenderableType) -> None:
        terminal = is_terminal(stream)
        page = _Page(stream)
        console = Console(
            file=page,
            force_terminal=terminal,
            no_color=None if terminal else True,
            width=None if terminal else _UNBOUNDED_WIDTH,
            markup=False,
            highlight=False,
            emoji=False,
        )
        console.print(renderable, soft_wrap=isinstance(renderable, Text))
        text = page.getvalue()
        _write(stream, text if terminal else "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


class _Page(io.StringIO):
    """Takes what Rich draws: writing to a stream itself, it would end the process when nobody reads."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream, which decides about the characters that tables are drawn with."""
        return str(self._encoding)


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person sits at `stream`."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def flush_output() -> None:
    """Hand over what is still buffered.

    Raises:
        OutputLost: nobody takes it.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            raise OutputLost(error) from error


def discard_output() -> None:
    """Let whatever is still buffered for standard output go nowhere, so that the end of the process stays quiet."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def prepare_streams() -> None:
    """Make the standard streams fit for any text: closed ones lead nowhere, what an encoding lacks is spelled out."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - lives as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _build_table(rows: Sequence[T], columns: Sequence[Column[T]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column.heading, overflow="fold")
    # What a row is about stays whole where a screen is narrow, as long as it leaves room for the rest.
    longest = max(cell_len(as_text(columns[0].read(row))) for row in rows)
    table.columns[0].min_width = min(_WHOLE_NAME_WIDTH, longest)
    for row in rows:
        table.add_row(*(Text(as_text(column.read(row))) for column in columns))
    return table


def _dump(document: object, stream: TextIO, *, indent: int | None = 2) -> str:
    # An encoding without a character would turn it into an escape that is not JSON's.
    unicode_stream = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
    return json.dumps(as_document(document), ensure_ascii=not unicode_stream, indent=indent) + "\n"


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except OSError as error:
        raise OutputLost(error) from error
