"""The error classes against the facts: one for each code that a call can return, and how they behave."""

import builtins
import copy
import json
import pathlib
import pickle
import re
from collections.abc import Callable

import pytest

from rsm import errors
from rsm.constants import ErrorCode
from rsm.errors import RsmError, error_for

DATA = pathlib.Path(__file__).parent / "data"
FACTS = json.loads((DATA / "constants.json").read_text())
FUNCTIONS = json.loads((DATA / "functions.json").read_text())
CLASSES = [error for error in RsmError.__subclasses__() if error.__module__ == errors.__name__]
EVERY: list[type[RsmError]] = [RsmError, *CLASSES]
BUILTINS = {
    "AccessDeniedError": PermissionError,
    "AlreadyExistsError": FileExistsError,
    "BadFormatError": ValueError,
    "ConnectionUnavailError": ConnectionError,
    "InsufficientBufferError": BufferError,
    "InvalidAddressError": ValueError,
    "InvalidBoundError": ValueError,
    "InvalidComputernameError": ValueError,
    "InvalidDriveError": ValueError,
    "InvalidHandleError": ValueError,
    "InvalidLibraryError": ValueError,
    "InvalidMediaError": ValueError,
    "InvalidMediaPoolError": ValueError,
    "InvalidNameError": ValueError,
    "InvalidParameterError": ValueError,
    "NoNetworkError": ConnectionError,
    "NotConnectedError": ConnectionError,
    "NotEnoughMemoryError": MemoryError,
    "ObjectNotFoundError": LookupError,
    "TimeoutError": TimeoutError,
}


def returned_codes() -> set[ErrorCode]:
    rows = [row["code"] for function in FUNCTIONS for row in function["returns"]]
    rows += [row["suggest"] for function in FUNCTIONS for row in function["errors_without_code"]]
    rows += [*FACTS["protocol_method_errors"], "ERROR_NOT_SUPPORTED", "RPC_S_NO_INTERFACES"]
    return {ErrorCode[name] for name in rows if name not in {"ERROR_SUCCESS", "INVALID_HANDLE_VALUE"}}


def class_name(code: ErrorCode) -> str:
    words = code.name.removeprefix("ERROR_").removeprefix("RPC_S_").split("_")
    return "".join(word.capitalize() for word in words) + "Error"


def test_there_is_one_class_for_each_code_that_can_be_returned() -> None:
    assert {error.code for error in CLASSES} == returned_codes()
    assert len(CLASSES) == len(returned_codes())


@pytest.mark.parametrize("error", CLASSES)
def test_class_is_named_after_its_code_and_is_the_builtin_that_fits(error: type[RsmError]) -> None:
    assert error.__name__ == class_name(error.code)
    assert getattr(errors, error.__name__) is error
    assert error.__bases__[1:] == ((BUILTINS[error.__name__],) if error.__name__ in BUILTINS else ())


@pytest.mark.parametrize("error", EVERY)
def test_default_message_is_one_sentence_with_advice(error: type[RsmError]) -> None:
    message = str(error())
    assert message == error.default_message
    assert re.fullmatch(r"[A-Z][^\n.;]+; [^\n.;]+\.", message)


def test_default_messages_tell_the_classes_apart() -> None:
    assert len({error.default_message for error in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("error", EVERY)
@pytest.mark.parametrize("clone", [lambda raised: pickle.loads(pickle.dumps(raised)), copy.copy, copy.deepcopy])
def test_error_survives_pickling_without_its_cause(
    error: type[RsmError], clone: Callable[[RsmError], RsmError]
) -> None:
    raised = error("said so", outcome_unknown=True)
    raised.__cause__ = OSError("a driver's own")
    again = clone(raised)
    assert (type(again), str(again), again.code) == (error, "said so", error.code)
    assert (again.args, again.outcome_unknown, again.__cause__) == (("said so",), True, None)


@pytest.mark.parametrize("error", [error for error in CLASSES if issubclass(error, OSError)])
def test_system_fields_of_oserror_stay_empty(error: type[OSError]) -> None:
    raised = error("said so")
    assert (raised.errno, raised.filename, raised.strerror, str(raised)) == (None, None, None, "said so")


def test_outcome_is_known_unless_said_otherwise() -> None:
    assert not errors.DatabaseFailureError().outcome_unknown
    assert errors.DatabaseFailureError(outcome_unknown=True).outcome_unknown
    assert str(errors.DatabaseFailureError("")) == ""


@pytest.mark.parametrize("code", [code for code in ErrorCode if code is not ErrorCode.ERROR_SUCCESS])
def test_error_for_makes_the_class_of_the_code(code: ErrorCode) -> None:
    expected = next((error for error in CLASSES if error.code is code), RsmError)
    plain, worded = error_for(int(code)), error_for(code, "said so")
    assert (type(plain), plain.code, type(worded), worded.code) == (expected, code, expected, code)
    assert str(worded) == "said so"
    assert str(plain) == expected.default_message if expected is not RsmError else code.name in str(plain)
    assert pickle.loads(pickle.dumps(plain)).code is code


@pytest.mark.parametrize("name", FACTS["errors_without_number"])
def test_second_names_rise_as_the_class_of_the_code_they_share(name: str) -> None:
    nearest = FACTS["errors_without_number"][name][0]
    assert type(error_for(ErrorCode[name])).__name__ == class_name(ErrorCode[nearest])


@pytest.mark.parametrize("number", [0, -1, 4342, 2**32])
def test_error_for_refuses_what_is_no_error(number: int) -> None:
    with pytest.raises(ValueError, match=r"not a valid ErrorCode|not an error"):
        error_for(number)


def test_tree_at_the_head_of_the_file_is_the_real_one() -> None:
    drawn = re.findall(r"^  \* (\w+)(?: \((\w+)\))? +(\w+) \((\d+)\)$", errors.__doc__ or "", re.MULTILINE)
    real = [
        (error.__name__, "".join(base.__name__ for base in error.__bases__[1:]), error.code.name, str(int(error.code)))
        for error in sorted(CLASSES, key=lambda error: error.code)
    ]
    assert drawn == real
    assert (errors.__doc__ or "").count(" * ") == len(CLASSES)


def test_all_is_exact_and_shadows_builtins_only_by_their_own_children() -> None:
    assert errors.__all__ == [*sorted(error.__name__ for error in EVERY), "error_for"]
    shadowed = {name for name in errors.__all__ if hasattr(builtins, name)}
    assert shadowed == {"TimeoutError"}
    assert issubclass(errors.TimeoutError, builtins.TimeoutError)
