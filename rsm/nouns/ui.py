"""A session's calls about the computers that messages for people are shown on."""

from rsm import values
from rsm.constants import NtmsUITypes
from rsm.errors import InvalidParameterError
from rsm.nouns.base import LibraryLike, Noun, check_types, reference
from rsm.services import objects, ui

_TYPES = (NtmsUITypes.NTMS_UITYPE_INFO, NtmsUITypes.NTMS_UITYPE_REQ, NtmsUITypes.NTMS_UITYPE_ERR)
SourceLike = values.Computer | LibraryLike


def _source(value: SourceLike | None) -> objects.Reference | None:
    return None if value is None else reference(value, "source", values.Computer, values.Library)


def _type(value: NtmsUITypes) -> NtmsUITypes:
    check_types({"ui_type": value}, int)
    if value not in _TYPES:
        raise InvalidParameterError(f"{value} is no sort of messages: they are INFO, REQ and ERR")
    return NtmsUITypes(value)


class UIOptions(Noun):
    """Lists of computers for each sort of messages: INFO progress, REQ requests to operators, ERR trouble.

    A list is about the computer object, a library or, where `source` is None, the work of this session alone; that one
    goes when the session closes.
    """

    def destinations(self, ui_type: NtmsUITypes, source: SourceLike | None = None) -> list[str]:
        """Return the computers on a list, in the order they were added (GetNtmsUIOptions).

        Raises:
            TypeError, InvalidParameterError: it is no sort of messages.
            ObjectNotFoundError: nothing has that id or name.
            InvalidParameterError: it is neither the computer nor a library.
            AccessDeniedError: no use right on it.
        """
        return self.session.read(ui.list_destinations, self.caller, _source(source), _type(ui_type))

    def add(self, ui_type: NtmsUITypes, destination: str = "", source: SourceLike | None = None) -> None:
        """Put a computer on a list, "" is this one; nobody asks whether it exists (SetNtmsUIOptions).

        Raises:
            TypeError, InvalidParameterError: it is no sort of messages, or the destination has more than 255 UTF-16
                units, control characters or lone surrogates.
            ObjectNotFoundError, InvalidParameterError: as `destinations`.
            AccessDeniedError: no use or no modify right on the source.
            AlreadyExistsError: it is on the list.
        """
        wanted, about = _type(ui_type), _source(source)
        check_types({"destination": destination}, str)
        enrolment = self.session.enrolment() if about is None else None
        self.session.write(ui.add_destination, self.caller, about, wanted, destination, enrolment)

    def remove(self, ui_type: NtmsUITypes, destination: str = "", source: SourceLike | None = None) -> None:
        """Take a computer off a list; raises as `add`, ObjectNotFoundError if it is not on it (SetNtmsUIOptions)."""
        wanted, about = _type(ui_type), _source(source)
        check_types({"destination": destination}, str)
        self.session.write(ui.remove_destination, self.caller, about, wanted, destination)

    def clear(self, ui_type: NtmsUITypes, source: SourceLike | None = None) -> None:
        """Empty a list: such messages are shown nowhere; raises as `add` (SetNtmsUIOptions)."""
        self.session.write(ui.clear_destinations, self.caller, _source(source), _type(ui_type))
