"""The errors of RSM: one class for each code a call can come back with, all of them `RsmError`.

Owns what an error says and which builtin it also is. It raises nothing by itself and never looks at drivers, devices
or databases: those who do translate what they see into these. The second names of codes (ERROR_SLOT_FULL, ...) have no
classes; they rise as the class of the code they share. A builtin in brackets is a second base of the class.

* RsmError
  * AccessDeniedError (PermissionError)            ERROR_ACCESS_DENIED (5)
  * InvalidHandleError (ValueError)                ERROR_INVALID_HANDLE (6)
  * NotEnoughMemoryError (MemoryError)             ERROR_NOT_ENOUGH_MEMORY (8)
  * BadFormatError (ValueError)                    ERROR_BAD_FORMAT (11)
  * InvalidDriveError (ValueError)                 ERROR_INVALID_DRIVE (15)
  * WriteProtectError                              ERROR_WRITE_PROTECT (19)
  * NotReadyError                                  ERROR_NOT_READY (21)
  * SharingViolationError                          ERROR_SHARING_VIOLATION (32)
  * NotSupportedError                              ERROR_NOT_SUPPORTED (50)
  * InvalidParameterError (ValueError)             ERROR_INVALID_PARAMETER (87)
  * CallNotImplementedError                        ERROR_CALL_NOT_IMPLEMENTED (120)
  * InsufficientBufferError (BufferError)          ERROR_INSUFFICIENT_BUFFER (122)
  * InvalidNameError (ValueError)                  ERROR_INVALID_NAME (123)
  * BusyError                                      ERROR_BUSY (170)
  * AlreadyExistsError (FileExistsError)           ERROR_ALREADY_EXISTS (183)
  * NoDataError                                    ERROR_NO_DATA (232)
  * InvalidAddressError (ValueError)               ERROR_INVALID_ADDRESS (487)
  * ConnectionUnavailError (ConnectionError)       ERROR_CONNECTION_UNAVAIL (1201)
  * InvalidComputernameError (ValueError)          ERROR_INVALID_COMPUTERNAME (1210)
  * NoNetworkError (ConnectionError)               ERROR_NO_NETWORK (1222)
  * CancelledError                                 ERROR_CANCELLED (1223)
  * NoSecurityOnObjectError                        ERROR_NO_SECURITY_ON_OBJECT (1350)
  * TimeoutError (TimeoutError)                    ERROR_TIMEOUT (1460)
  * InvalidBoundError (ValueError)                 RPC_S_INVALID_BOUND (1734)
  * NoInterfacesError                              RPC_S_NO_INTERFACES (1817)
  * NotConnectedError (ConnectionError)            ERROR_NOT_CONNECTED (2250)
  * InvalidMediaError (ValueError)                 ERROR_INVALID_MEDIA (4300)
  * InvalidLibraryError (ValueError)               ERROR_INVALID_LIBRARY (4301)
  * InvalidMediaPoolError (ValueError)             ERROR_INVALID_MEDIA_POOL (4302)
  * DriveMediaMismatchError                        ERROR_DRIVE_MEDIA_MISMATCH (4303)
  * MediaOfflineError                              ERROR_MEDIA_OFFLINE (4304)
  * LibraryOfflineError                            ERROR_LIBRARY_OFFLINE (4305)
  * EmptyError                                     ERROR_EMPTY (4306)
  * NotEmptyError                                  ERROR_NOT_EMPTY (4307)
  * MediaUnavailableError                          ERROR_MEDIA_UNAVAILABLE (4308)
  * ResourceDisabledError                          ERROR_RESOURCE_DISABLED (4309)
  * ObjectNotFoundError (LookupError)              ERROR_OBJECT_NOT_FOUND (4312)
  * DatabaseFailureError                           ERROR_DATABASE_FAILURE (4313)
  * DatabaseFullError                              ERROR_DATABASE_FULL (4314)
  * MediaIncompatibleError                         ERROR_MEDIA_INCOMPATIBLE (4315)
  * ResourceNotPresentError                        ERROR_RESOURCE_NOT_PRESENT (4316)
  * InvalidOperationError                          ERROR_INVALID_OPERATION (4317)
  * MediaNotAvailableError                         ERROR_MEDIA_NOT_AVAILABLE (4318)
  * DeviceNotAvailableError                        ERROR_DEVICE_NOT_AVAILABLE (4319)
  * RequestRefusedError                            ERROR_REQUEST_REFUSED (4320)
  * LibraryFullError                               ERROR_LIBRARY_FULL (4322)
  * UnableToEjectMountedMediaError                 ERROR_UNABLE_TO_EJECT_MOUNTED_MEDIA (4330)
  * CleanerSlotSetError                            ERROR_CLEANER_SLOT_SET (4331)
  * CleanerSlotNotSetError                         ERROR_CLEANER_SLOT_NOT_SET (4332)
  * ResourceNotAvailableError                      ERROR_RESOURCE_NOT_AVAILABLE (5006)
  * InvalidStateError                              ERROR_INVALID_STATE (5023)
"""

import builtins

from rsm.constants import ErrorCode

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "BadFormatError",
    "BusyError",
    "CallNotImplementedError",
    "CancelledError",
    "CleanerSlotNotSetError",
    "CleanerSlotSetError",
    "ConnectionUnavailError",
    "DatabaseFailureError",
    "DatabaseFullError",
    "DeviceNotAvailableError",
    "DriveMediaMismatchError",
    "EmptyError",
    "InsufficientBufferError",
    "InvalidAddressError",
    "InvalidBoundError",
    "InvalidComputernameError",
    "InvalidDriveError",
    "InvalidHandleError",
    "InvalidLibraryError",
    "InvalidMediaError",
    "InvalidMediaPoolError",
    "InvalidNameError",
    "InvalidOperationError",
    "InvalidParameterError",
    "InvalidStateError",
    "LibraryFullError",
    "LibraryOfflineError",
    "MediaIncompatibleError",
    "MediaNotAvailableError",
    "MediaOfflineError",
    "MediaUnavailableError",
    "NoDataError",
    "NoInterfacesError",
    "NoNetworkError",
    "NoSecurityOnObjectError",
    "NotConnectedError",
    "NotEmptyError",
    "NotEnoughMemoryError",
    "NotReadyError",
    "NotSupportedError",
    "ObjectNotFoundError",
    "RequestRefusedError",
    "ResourceDisabledError",
    "ResourceNotAvailableError",
    "ResourceNotPresentError",
    "RsmError",
    "SharingViolationError",
    "TimeoutError",
    "UnableToEjectMountedMediaError",
    "WriteProtectError",
    "error_for",
]


class RsmError(Exception):
    """What RSM could not do, and why.

    `code` is the Win32 number. `outcome_unknown` is set when the failure came while the change was being made
    permanent: then the call took effect wholly or not at all. Otherwise nothing was changed.
    """

    code: ErrorCode = ErrorCode.ERROR_INTERNAL_ERROR
    default_message: str = "RSM failed in a way it has no name for; see the cause given with this error."
    outcome_unknown: bool

    def __init__(self, message: str | None = None, *, outcome_unknown: bool = False) -> None:
        super().__init__(self.default_message if message is None else message)
        self.outcome_unknown = outcome_unknown


class AccessDeniedError(RsmError, builtins.PermissionError):
    code = ErrorCode.ERROR_ACCESS_DENIED
    default_message = "The caller lacks a right that this needs; ask whoever controls the object to grant it."


class InvalidHandleError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_HANDLE
    default_message = "The session or handle is closed, unknown or from before a fork; open a new one."


class NotEnoughMemoryError(RsmError, builtins.MemoryError):
    code = ErrorCode.ERROR_NOT_ENOUGH_MEMORY
    default_message = "Memory ran out; free some and try again."


class BadFormatError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_BAD_FORMAT
    default_message = (
        "No label format recognises the label; check its type and id, or install the plug-in that reads it."
    )


class InvalidDriveError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_DRIVE
    default_message = "That is not a drive this catalogue knows; list the drives and name one of them."


class WriteProtectError(RsmError):
    code = ErrorCode.ERROR_WRITE_PROTECT
    default_message = "The side may not be written any more; mount it for reading or use other media."


class NotReadyError(RsmError):
    code = ErrorCode.ERROR_NOT_READY
    default_message = "The catalogue is not ready, as while it is being upgraded or imported; wait and connect again."


class SharingViolationError(RsmError):
    code = ErrorCode.ERROR_SHARING_VIOLATION
    default_message = "A file that has to be written is open elsewhere; close it there and try again."


class NotSupportedError(RsmError):
    code = ErrorCode.ERROR_NOT_SUPPORTED
    default_message = (
        "This is not supported here, or the catalogue was made by a newer release; use what supports it, or upgrade."
    )


class InvalidParameterError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_PARAMETER
    default_message = "An argument is missing or outside what it may be; correct it and call again."


class CallNotImplementedError(RsmError):
    code = ErrorCode.ERROR_CALL_NOT_IMPLEMENTED
    default_message = "The server does not offer this call; do without it or use another server."


class InsufficientBufferError(RsmError, builtins.BufferError):
    code = ErrorCode.ERROR_INSUFFICIENT_BUFFER
    default_message = "The answer is larger than the room given for it; call again with the size that was reported."


class InvalidNameError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_NAME
    default_message = "The name is empty, too long or has characters that are not allowed; choose another."


class BusyError(RsmError):
    code = ErrorCode.ERROR_BUSY
    default_message = "A medium or drive that is needed is in use; wait until it is free and try again."


class AlreadyExistsError(RsmError, builtins.FileExistsError):
    code = ErrorCode.ERROR_ALREADY_EXISTS
    default_message = "Something with that name or id is there already; use it or choose another."


class NoDataError(RsmError):
    code = ErrorCode.ERROR_NO_DATA
    default_message = (
        "The data is too long to be stored, or the channel that carried it broke; shorten it or open a new channel."
    )


class InvalidAddressError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_ADDRESS
    default_message = "The server was given an address that it cannot use; check the arguments and call again."


class ConnectionUnavailError(RsmError, builtins.ConnectionError):
    code = ErrorCode.ERROR_CONNECTION_UNAVAIL
    default_message = "The link to the server is gone; connect again."


class InvalidComputernameError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_COMPUTERNAME
    default_message = "The name of the server is not well formed; correct it and connect again."


class NoNetworkError(RsmError, builtins.ConnectionError):
    code = ErrorCode.ERROR_NO_NETWORK
    default_message = "There is no usable network; bring it up and connect again."


class CancelledError(RsmError):
    code = ErrorCode.ERROR_CANCELLED
    default_message = "The request was cancelled before it was done; ask again if it is still wanted."


class NoSecurityOnObjectError(RsmError):
    code = ErrorCode.ERROR_NO_SECURITY_ON_OBJECT
    default_message = "Objects of this kind carry no access rights; use the library, pool or computer that guards them."


class TimeoutError(RsmError, builtins.TimeoutError):
    code = ErrorCode.ERROR_TIMEOUT
    default_message = "The time allowed ran out before it was done; try again or allow more time."


class InvalidBoundError(RsmError, builtins.ValueError):
    code = ErrorCode.RPC_S_INVALID_BOUND
    default_message = "The length of an array was wrong on its way to the server; check the sizes given and call again."


class NoInterfacesError(RsmError):
    code = ErrorCode.RPC_S_NO_INTERFACES
    default_message = (
        "The catalogue is of an older release than this program; run `rsm db upgrade` on it, then connect again."
    )


class NotConnectedError(RsmError, builtins.ConnectionError):
    code = ErrorCode.ERROR_NOT_CONNECTED
    default_message = "The server of the catalogue cannot be reached; check that it runs and connect again."


class InvalidMediaError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_MEDIA
    default_message = (
        "That is not a medium, side or media type that can be used here; list them and name one that fits."
    )


class InvalidLibraryError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_LIBRARY
    default_message = "That is not a library that can be used here; list the libraries and name one that fits."


class InvalidMediaPoolError(RsmError, builtins.ValueError):
    code = ErrorCode.ERROR_INVALID_MEDIA_POOL
    default_message = "That is not a media pool that can be used here; list the pools and name one that fits."


class DriveMediaMismatchError(RsmError):
    code = ErrorCode.ERROR_DRIVE_MEDIA_MISMATCH
    default_message = (
        "The media and drives named are not in one library; name drives in the library that holds the media."
    )


class MediaOfflineError(RsmError):
    code = ErrorCode.ERROR_MEDIA_OFFLINE
    default_message = "The medium is in no library; bring it in and try again."


class LibraryOfflineError(RsmError):
    code = ErrorCode.ERROR_LIBRARY_OFFLINE
    default_message = "The library is offline and has no door, port or drive to work with; name an online library."


class EmptyError(RsmError):
    code = ErrorCode.ERROR_EMPTY
    default_message = "The cleaner slot is empty; put a cleaner in first."


class NotEmptyError(RsmError):
    code = ErrorCode.ERROR_NOT_EMPTY
    default_message = "It still holds media or pools; move or delete them first."


class MediaUnavailableError(RsmError):
    code = ErrorCode.ERROR_MEDIA_UNAVAILABLE
    default_message = "No medium that fits is free; add media to the pool or the free pool, or deallocate some."


class ResourceDisabledError(RsmError):
    code = ErrorCode.ERROR_RESOURCE_DISABLED
    default_message = "A library, drive or medium that is needed is disabled; enable it and try again."


class ObjectNotFoundError(RsmError, builtins.LookupError):
    code = ErrorCode.ERROR_OBJECT_NOT_FOUND
    default_message = "There is no such object in the catalogue; list what is there and name one of that."


class DatabaseFailureError(RsmError):
    code = ErrorCode.ERROR_DATABASE_FAILURE
    default_message = (
        "The catalogue could not be read or written; run `rsm db check` and see the cause given with this error."
    )


class DatabaseFullError(RsmError):
    code = ErrorCode.ERROR_DATABASE_FULL
    default_message = "The catalogue has no room for the change; free space where it is stored and try again."


class MediaIncompatibleError(RsmError):
    code = ErrorCode.ERROR_MEDIA_INCOMPATIBLE
    default_message = "The media type or the number of sides does not match that of the pool; choose a pool that fits."


class ResourceNotPresentError(RsmError):
    code = ErrorCode.ERROR_RESOURCE_NOT_PRESENT
    default_message = (
        "The library has no such door, port or slot, or it is taken out; use what is there, or put it back."
    )


class InvalidOperationError(RsmError):
    code = ErrorCode.ERROR_INVALID_OPERATION
    default_message = "There is no such operation to stop, or it is not possible here; check what is under way."


class MediaNotAvailableError(RsmError):
    code = ErrorCode.ERROR_MEDIA_NOT_AVAILABLE
    default_message = "A medium that is needed is not available, most likely disabled; enable it and try again."


class DeviceNotAvailableError(RsmError):
    code = ErrorCode.ERROR_DEVICE_NOT_AVAILABLE
    default_message = (
        "A device that is needed is not available, most likely disabled or not connected; see to it and try again."
    )


class RequestRefusedError(RsmError):
    code = ErrorCode.ERROR_REQUEST_REFUSED
    default_message = "The operator refused the request; ask the operator why before trying again."


class LibraryFullError(RsmError):
    code = ErrorCode.ERROR_LIBRARY_FULL
    default_message = "The library has no free slot; eject a cartridge first."


class UnableToEjectMountedMediaError(RsmError):
    code = ErrorCode.ERROR_UNABLE_TO_EJECT_MOUNTED_MEDIA
    default_message = "The cartridge is mounted; dismount it first, then eject it."


class CleanerSlotSetError(RsmError):
    code = ErrorCode.ERROR_CLEANER_SLOT_SET
    default_message = "The library has a cleaner slot already; release that one first."


class CleanerSlotNotSetError(RsmError):
    code = ErrorCode.ERROR_CLEANER_SLOT_NOT_SET
    default_message = "The library has no cleaner slot; reserve one first."


class ResourceNotAvailableError(RsmError):
    code = ErrorCode.ERROR_RESOURCE_NOT_AVAILABLE
    default_message = "The slot, medium or drive is not there or taken; free it or name another, then try again."


class InvalidStateError(RsmError):
    code = ErrorCode.ERROR_INVALID_STATE
    default_message = (
        "The object is not in a state that allows this; look at its state and bring it into one that does."
    )


_CLASSES: dict[ErrorCode, type[RsmError]] = {error.code: error for error in RsmError.__subclasses__()}


def error_for(code: int, message: str | None = None) -> RsmError:
    """Make the error of a code: its own class, or RsmError with that code where it has none.

    Raises:
        ValueError: the number is not an ErrorCode, or is ERROR_SUCCESS.
    """
    known = ErrorCode(code)
    if known is ErrorCode.ERROR_SUCCESS:
        raise ValueError("ERROR_SUCCESS is not an error")
    if known in _CLASSES:
        return _CLASSES[known](message)
    error = RsmError(
        f"The call failed with {known.name}; see the cause given with this error." if message is None else message
    )
    error.code = known
    return error
