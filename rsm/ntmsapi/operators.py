"""The functions of the NTMS interface about what a person is asked to do, each a thin call of the Pythonic face."""

import uuid

from rsm.constants import INFINITE, ErrorCode, NtmsOpreqCommand
from rsm.errors import InvalidParameterError
from rsm.ntmsapi.calls import (
    WHEN_CLOSED,
    code_call,
    dword,
    guid,
    optional_guid,
    out_call,
    renaming,
    text,
    timeout,
)
from rsm.session import Session

__all__ = [
    "CancelNtmsOperatorRequest",
    "SatisfyNtmsOperatorRequest",
    "SubmitNtmsOperatorRequest",
    "WaitForNtmsOperatorRequest",
]


@out_call(1)
def SubmitNtmsOperatorRequest(
    hSession: Session,
    dwRequest: int,
    lpMessage: str | None = None,
    lpArg1Id: uuid.UUID | None = None,
    lpArg2Id: uuid.UUID | None = None,
) -> tuple[ErrorCode, uuid.UUID | None]:
    """Ask an operator for something and return the id of the request; what the ids name depends on dwRequest."""
    command = dword(dwRequest, "dwRequest")
    if command not in tuple(NtmsOpreqCommand):
        raise InvalidParameterError(f"dwRequest {command} is no kind of operator request")
    request = hSession.operators.submit(
        NtmsOpreqCommand(command),
        message="" if lpMessage is None else text(lpMessage, "lpMessage"),
        argument1=optional_guid(lpArg1Id, "lpArg1Id"),
        argument2=optional_guid(lpArg2Id, "lpArg2Id"),
    )
    return ErrorCode.ERROR_SUCCESS, request.id


@code_call
def WaitForNtmsOperatorRequest(hSession: Session, lpRequestId: uuid.UUID, dwTimeout: int = INFINITE) -> None:
    """Wait until an operator request is satisfied; dwTimeout 0 only looks."""
    request = guid(lpRequestId, "lpRequestId")
    timeout_ms = timeout(dwTimeout)
    with renaming(WHEN_CLOSED):
        hSession.operators.wait(request, timeout_ms=timeout_ms)


@code_call
def SatisfyNtmsOperatorRequest(hSession: Session, lpRequestId: uuid.UUID) -> None:
    """Tell that what an operator was asked for is done."""
    hSession.operators.satisfy(guid(lpRequestId, "lpRequestId"))


@code_call
def CancelNtmsOperatorRequest(hSession: Session, lpRequestId: uuid.UUID) -> None:
    """Refuse what an operator was asked for; whoever waits for it is told."""
    hSession.operators.refuse(guid(lpRequestId, "lpRequestId"))
