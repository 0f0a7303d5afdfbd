"""Disks and discs by the file system on them.

Owns the choice among the file systems; how each is read stands in the modules named `disk_`. What two of them claim,
say because one was made over the other and left its superblock, is ambiguous and no label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rsm.labels.base import Label
from rsm.labels.disk_boot_sectors import (
    EXFAT_TYPE,
    FAT32_TYPE,
    FAT_TYPE,
    MAXIMUM_BYTES,
    NTFS_TYPE,
    read_exfat,
    read_fat,
    read_ntfs,
)
from rsm.labels.disk_discs import ISO_TYPE, UDF_TYPE, read_iso, read_udf
from rsm.labels.disk_superblocks import BTRFS_TYPE, EXT_TYPES, XFS_TYPE, read_btrfs, read_ext, read_xfs
from rsm.labels.fields import FormatRecogniser, NotALabelError, require

FILE_SYSTEMS: Final[tuple[Callable[[bytes], Label], ...]] = (
    read_fat,
    read_exfat,
    read_ntfs,
    read_ext,
    read_xfs,
    read_btrfs,
    read_iso,
    read_udf,
)


_TYPES: Final = (FAT_TYPE, FAT32_TYPE, EXFAT_TYPE, NTFS_TYPE, *EXT_TYPES, XFS_TYPE, BTRFS_TYPE, ISO_TYPE, UDF_TYPE)


def _read_disk(head: bytes) -> Label:
    labels = []
    for read_file_system in FILE_SYSTEMS:
        try:
            labels.append(read_file_system(head))
        except NotALabelError:
            continue
    require(len(labels) == 1)
    return labels[0]


RECOGNISER: Final = FormatRecogniser("disk", MAXIMUM_BYTES, _read_disk, _TYPES)
