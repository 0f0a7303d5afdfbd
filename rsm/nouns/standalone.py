"""A session's calls about stand-alone drives: ejecting, the volumes in them, and hearing of what a person changes."""

import contextlib
import os
import threading
import uuid
from collections.abc import Sequence
from types import TracebackType

from rsm import identity, labels, values
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import (
    InvalidDriveError,
    InvalidHandleError,
    InvalidLibraryError,
    InvalidParameterError,
    NotReadyError,
    RsmError,
)
from rsm.libraries import open_library
from rsm.libraries.base import SourceEmptyError
from rsm.libraries.standalone import DRIVE_ADDRESS
from rsm.nouns.base import LibraryLike, MediumLike, Noun, Runner, TypeLike, check_types, known_kind, reference
from rsm.services import detection, objects, standalone

DriveLike = values.Drive | uuid.UUID | str
BACK_END = "standalone"


# Where a drive is


def address_of(path: str) -> str:
    """Return the address of the stand-alone drive at a path: one that is a directory ends in a slash.

    Raises:
        InvalidParameterError: the path is empty, or holds a NUL.
    """
    if not path or "\0" in path:
        raise InvalidParameterError("a stand-alone drive is named by the path of a directory, a disk or an image")
    if os.path.isdir(path):
        return os.path.join(os.path.realpath(path), "")
    return os.path.abspath(path)  # a link in /dev/disk leads to another node tomorrow


def read_volume(path: str) -> values.Volume:
    """Return the volume in the stand-alone drive at a path, looked at now, without any catalogue (GetVolumesFromDrive).

    Raises:
        InvalidParameterError: the path is empty, or holds a NUL.
        InvalidDriveError: nothing is there, or nothing that could be a drive.
        NotReadyError: the drive is empty.
        RsmError: the drive cannot be used, or its label not be read.
    """
    address = address_of(path)
    if not os.path.lexists(address):
        raise InvalidDriveError(f"there is no drive {path!a}")
    return _read_volume(address)


def _read_volume(address: str) -> values.Volume:
    from rsm.libraries.standalone_disk import mount_point

    try:
        with open_library(BACK_END, address) as device:
            status = next(iter(device.read_elements()))
            side_path = device.side_path(DRIVE_ADDRESS, 1)
            head = device.read_head(DRIVE_ADDRESS, 1, labels.head_bytes(), address)
            size = device.read_side(DRIVE_ADDRESS, 1).capacity_bytes
    except InvalidLibraryError as error:
        raise InvalidDriveError(str(error)) from error
    except SourceEmptyError as error:
        raise NotReadyError(str(error)) from error
    label = labels.recognise(head)
    path = address.rstrip("/")
    return values.Volume(
        path=side_path or path,
        mounted_at=path if side_path is not None else mount_point(path),
        label_type="" if label is None else label.type,
        label_id=b"" if label is None else label.id,
        label_info="" if label is None else label.info,
        barcode=status.barcode or "",
        capacity_bytes=size,
    )


# Ejecting


class StandaloneCalls(Noun):
    """The part of the calls about libraries that is for stand-alone drives."""

    def eject(self, drive: DriveLike, *, force: bool = False, error_if_busy: bool = False) -> values.LibraryRequest:
        """Queue the ejecting of what is in a stand-alone drive and return its request (EjectDiskFromSADrive).

        The drive is named by its id, name or path, or by its library's name. Where the drive pushes nothing out, an
        operator is asked, and the request lasts until an inventory sees that it is out. What a session uses is waited
        for, unless `error_if_busy`; with `force` it is taken from the session. What is unrecognized, incompatible or to
        be imported is forgotten then, the rest goes to the offline library.

        Raises:
            TypeError: an argument has the wrong Python type.
            LibraryOfflineError: it names the offline library.
            InvalidDriveError: it names no stand-alone drive.
            AccessDeniedError: no control of the library.
            DeviceNotAvailableError: library or drive is disabled.
            MediaNotAvailableError: the cartridge in it is disabled.
            BusyError: with `error_if_busy`, a session uses it.
        """
        check_types({"force": force, "error_if_busy": error_if_busy}, bool)
        who = self.caller, self.session.enrolment()
        named = _named(drive), identity.host()
        return self.ask(standalone.request_eject, *who, *named, force=force, fail_if_busy=error_if_busy)

    def stop_eject(self, drive: DriveLike) -> values.LibraryRequest:
        """End an ejecting that waits for a session or a person, and return its request; what is in stays in.

        Raises:
            LibraryOfflineError, InvalidDriveError, AccessDeniedError: as `eject`.
            InvalidOperationError: none waits.
        """
        return self.ask(standalone.stop_eject, self.caller, _named(drive), identity.host())

    def volume(self, drive: DriveLike) -> values.Volume:
        """Return the volume in a stand-alone drive of this host, looked at now (GetVolumesFromDrive).

        Raises:
            InvalidOperationError: this thread is in a batch.
            LibraryOfflineError, InvalidDriveError: it names no stand-alone drive, or one that this host has no path to.
            NotReadyError: it is empty.
            RsmError: it cannot be used, or its label not be read.
        """
        self.session.check_may_wait()
        row = self.session.read(standalone.find_standalone_drive, _named(drive), identity.host())
        found: values.Drive = self.session.read(objects.read_value, Kind.NTMS_DRIVE, row.id)
        if not found.path:
            raise InvalidDriveError(f"this host has no path to drive {found.name}: ask where it is attached")
        return _read_volume(row.address)


def _named(drive: DriveLike) -> objects.Reference:
    named = reference(drive, "drive", values.Drive)
    return os.path.abspath(named) if isinstance(named, str) and "/" in named else named


# Hearing of changes


class Detection:
    """Drives that are watched until it is ended. Use it in `with`, or end it.

    What a person puts in or takes out meanwhile is noticed within seconds by whoever works the library.
    """

    def __init__(self, session: Runner, detection_id: uuid.UUID) -> None:
        self.id = detection_id
        self._session = session
        self._lock = threading.Lock()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether it was ended, or its session closed."""
        return self._ended or self._session.closed

    def watch(
        self,
        *,
        libraries: Sequence[LibraryLike] = (),
        media_types: Sequence[TypeLike] = (),
        media: Sequence[MediumLike] = (),
    ) -> None:
        """Watch more drives: these, and all that take these media types or cartridges now, all or none of them.

        Raises:
            InvalidHandleError: it was ended, or its session closed or taken for dead.
            TypeError: an argument has the wrong Python type.
            InvalidLibraryError: there is no such library, or it is no stand-alone drive.
            InvalidMediaError: there is no such media type or cartridge.
        """
        self._watch(
            (Kind.NTMS_LIBRARY, [reference(each, "libraries", values.Library) for each in libraries]),
            (Kind.NTMS_MEDIA_TYPE, [reference(each, "media_types", values.MediaType) for each in media_types]),
            (Kind.NTMS_PHYSICAL_MEDIA, [reference(each, "media", values.PhysicalMedium) for each in media]),
        )

    def watch_kind(self, kind: Kind, ids: Sequence[uuid.UUID]) -> None:
        """Watch more drives, named as objects of one kind (SetNtmsDeviceChangeDetection).

        Raises:
            InvalidParameterError: they are neither libraries nor media types nor cartridges.
            RsmError: as `watch`.
        """
        self._watch((known_kind(kind), ids))

    def _watch(self, *named: tuple[Kind, Sequence[objects.Reference]]) -> None:
        self._check_usable()
        self._session.write(detection.watch_drives, self.id, named)

    def _check_usable(self) -> None:
        if self.ended:
            raise InvalidHandleError("the change detection was ended, or its session closed: begin another")

    def end(self) -> None:
        """Watch no more; ending it again does nothing (EndNtmsDeviceChangeDetection).

        Raises:
            DatabaseFailureError, NotConnectedError: the catalogue cannot be written; end it again, or the session.
        """
        if self.ended:
            return
        with self._lock:
            self._session.write(detection.end_detection, self.id)
            self._ended = True

    def __enter__(self) -> "Detection":
        self._check_usable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*((RsmError,) if error is not None else ())):
            self.end()


class Detections(Noun):
    """Noticing what a person puts into stand-alone drives, or takes out of them."""

    def begin(self) -> Detection:
        """Begin to notice changes, of nothing until drives are named (BeginNtmsDeviceChangeDetection).

        Raises:
            DatabaseFailureError, NotConnectedError: the catalogue cannot be written.
        """
        return Detection(self.session, self.session.write(detection.begin_detection, self.session.enrolment()))

    def poll(self, kind: Kind, references: "Sequence[LibraryLike | TypeLike | MediumLike]") -> None:
        """Have drives looked at once, by an inventory: named as libraries, media types or cartridges, all of one kind.

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: the kind is none of these three.
            InvalidLibraryError, InvalidMediaError: as `Detection.watch`.
        """
        kinds = (values.Library, values.MediaType, values.PhysicalMedium)
        wanted = [reference(each, "references", *kinds) for each in references]
        self.session.write(detection.poll_drives, known_kind(kind), wanted)
