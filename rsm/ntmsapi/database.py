"""The functions of the NTMS interface about the catalogue as a whole, each a call of the Pythonic face."""

from rsm.ntmsapi.calls import code_call
from rsm.session import Session

__all__ = ["ExportNtmsDatabase", "ImportNtmsDatabase"]


@code_call
def ExportNtmsDatabase(hSession: Session) -> None:
    """Write a consistent copy of the catalogue into the folder Export, over the one that is there."""
    hSession.catalogue.export_to()


@code_call
def ImportNtmsDatabase(hSession: Session) -> None:
    """Put the copy in the folder Export in the place of the catalogue, which is kept; others connect again.

    It takes effect at once: there is no service to be started again. While media are mounted it is ERROR_BUSY.
    """
    hSession.catalogue.import_from()
