"""FAT, exFAT and NTFS: file systems whose first sector is a boot sector.

Owns these formats. Types and ids are what Windows says of such a volume and NTMS_FILESYSTEM_INFO carries: `FAT` (12 and
16 bits), `FAT32`, `exFAT`, `NTFS`, and the four bytes of the volume serial number, little-endian. The first sector of a
disk with partitions ends in the same mark and has none of the fields that are checked. A volume's name is read where it
lies within the bytes that are looked at.
"""

from __future__ import annotations

import struct
from typing import Final

from rsm.labels.base import Label
from rsm.labels.fields import NotALabelError, decode_info, is_power_of_two, read_number, require, take

FAT_TYPE: Final = "FAT"
FAT32_TYPE: Final = "FAT32"
EXFAT_TYPE: Final = "exFAT"
NTFS_TYPE: Final = "NTFS"
MAXIMUM_BYTES: Final = 640 * 1024

_SERIAL_BYTES: Final = 4
_HAS_SERIAL_AND_NAME: Final = 0x29
_UNNAMED: Final = b"NO NAME    "
_MOST_CLUSTERS_FAT16: Final = 65524
_DIRECTORY_ENTRY: Final = 32
_IS_VOLUME_NAME, _IS_LONG_NAME = 0x08, 0x0F
_EXFAT_VOLUME_NAME, _EXFAT_NAME_UNITS = 0x83, 11
_EXFAT_FLAGS_AND_USE: Final = (106, 107, 112)
_NTFS_VOLUME_RECORD: Final = 3
_NTFS_VOLUME_NAME, _NTFS_END = 0x60, 0xFFFFFFFF


def _is_within_reach(at: int, size: int) -> bool:
    return at + size <= MAXIMUM_BYTES


def _check_boot_sector(head: bytes) -> int:
    """Return the bytes of a sector."""
    sector_bytes = read_number(head, 11, 2, "little")
    require(take(head, 510, 2) == b"\x55\xaa" and head[0] in (0xEB, 0xE9) and (head[0] == 0xE9 or head[2] == 0x90))
    require(is_power_of_two(sector_bytes, 512, 4096))
    return sector_bytes


def read_fat(head: bytes) -> Label:
    """Return the label of a FAT volume."""
    sector_bytes = _check_boot_sector(head)
    cluster, reserved, fats, entries, sectors16, media, fat_sectors = struct.unpack("<BHBHHBH", take(head, 13, 11))
    fat_sectors32 = read_number(head, 36, 4, "little")
    sectors = sectors16 or read_number(head, 32, 4, "little")
    require(is_power_of_two(cluster, 1, 128) and reserved > 0 and fats in (1, 2))
    is_fat32 = fat_sectors == 0
    extension = 64 if is_fat32 else 36
    require(head[extension + 2] == _HAS_SERIAL_AND_NAME and (media == 0xF0 or media >= 0xF8))
    fat_sectors = fat_sectors or fat_sectors32
    root_sectors = -(-entries * _DIRECTORY_ENTRY // sector_bytes)
    data_sector = reserved + fats * fat_sectors + root_sectors
    clusters = (sectors - data_sector) // cluster
    require(fat_sectors > 0 and clusters > 0 and (is_fat32 or clusters <= _MOST_CLUSTERS_FAT16))
    require((entries == 0) == is_fat32)
    if _is_within_reach(reserved * sector_bytes, 2):
        require(take(head, reserved * sector_bytes, 2) == bytes([media, 0xFF]))
    if is_fat32:
        root_cluster = read_number(head, 44, 4, "little")
        require(root_cluster >= 2)
        root_at, root_bytes = data_sector + (root_cluster - 2) * cluster, cluster * sector_bytes
    else:
        root_at, root_bytes = data_sector - root_sectors, entries * _DIRECTORY_ENTRY
    name = take(head, extension + 7, 11)
    if _is_within_reach(root_at * sector_bytes, root_bytes):
        name = _find_fat_name(take(head, root_at * sector_bytes, root_bytes), name)
    serial = take(head, extension + 3, _SERIAL_BYTES)
    return Label(FAT32_TYPE if is_fat32 else FAT_TYPE, serial, "" if name == _UNNAMED else decode_info(name, "cp437"))


def _find_fat_name(directory: bytes, name: bytes) -> bytes:
    """Return the name in the root directory, which Windows alone renews, else the one in the boot sector."""
    for at in range(0, len(directory), _DIRECTORY_ENTRY):
        attributes = directory[at + 11]
        if directory[at] == 0:
            break
        if directory[at] != 0xE5 and attributes & _IS_LONG_NAME != _IS_LONG_NAME and attributes & _IS_VOLUME_NAME:
            return directory[at : at + 11]
    return name


def read_exfat(head: bytes) -> Label:
    """Return the label of an exFAT volume, whose boot sectors have a checksum."""
    require(take(head, 0, 11) == b"\xeb\x76\x90EXFAT   " and take(head, 510, 2) == b"\x55\xaa")
    require(not any(take(head, 11, 53)))
    heap_sector, clusters, root_cluster = struct.unpack("<3I", take(head, 88, 12))
    sector_shift, cluster_shift = head[108], head[109]
    require(9 <= sector_shift <= 12 and cluster_shift <= 25 - sector_shift)
    require(2 <= root_cluster < clusters + 2)
    sector_bytes = 1 << sector_shift
    checksum = 0
    for at, byte in enumerate(take(head, 0, 11 * sector_bytes)):
        if at not in _EXFAT_FLAGS_AND_USE:
            checksum = ((checksum & 1) << 31) + (checksum >> 1) + byte & 0xFFFFFFFF
    require(take(head, 11 * sector_bytes, sector_bytes) == checksum.to_bytes(4, "little") * (sector_bytes // 4))
    root_at = heap_sector + (root_cluster - 2 << cluster_shift) << sector_shift
    root_bytes = 1 << sector_shift + cluster_shift
    name = _find_exfat_name(take(head, root_at, root_bytes)) if _is_within_reach(root_at, root_bytes) else ""
    return Label(EXFAT_TYPE, take(head, 100, _SERIAL_BYTES), name)


def _find_exfat_name(directory: bytes) -> str:
    for at in range(0, len(directory), _DIRECTORY_ENTRY):
        if directory[at] == _EXFAT_VOLUME_NAME:
            units = min(directory[at + 1], _EXFAT_NAME_UNITS)
            return decode_info(directory[at + 2 : at + 2 + 2 * units], "utf-16-le")
        if directory[at] == 0:
            break
    return ""


def read_ntfs(head: bytes) -> Label:
    """Return the label of an NTFS volume."""
    sector_bytes = _check_boot_sector(head)
    require(take(head, 3, 8) == b"NTFS    " and not any(take(head, 14, 7)) and not any(take(head, 22, 2)))
    cluster = head[13]
    sectors, table_cluster, mirror_cluster = struct.unpack("<3Q", take(head, 40, 24))
    if cluster > 0x80:
        cluster = 1 << 256 - cluster if cluster >= 0xF4 else 0
    require(is_power_of_two(cluster, 1, 4096) and head[21] >= 0xF0)
    require(0 < table_cluster * cluster < sectors and 0 < mirror_cluster * cluster < sectors)
    require(any(take(head, 72, 8)))
    cluster_bytes, record = cluster * sector_bytes, head[64]
    record_bytes = 1 << 256 - record if record > 0x80 else record * cluster_bytes
    require(is_power_of_two(record_bytes, 512, 64 * 1024))
    name = ""
    for table in (table_cluster, mirror_cluster):
        record_at = table * cluster_bytes + _NTFS_VOLUME_RECORD * record_bytes
        if _is_within_reach(record_at, record_bytes):
            name = _find_ntfs_name(take(head, record_at, record_bytes))
            break
    return Label(NTFS_TYPE, take(head, 72, _SERIAL_BYTES), name)


def _find_ntfs_name(record: bytes) -> str:
    """Return the name in the record of $Volume, nothing if the record is not what it should be."""
    try:
        require(record.startswith(b"FILE"))
        whole = _restore_sector_ends(record)
        at = read_number(whole, 20, 2, "little")
        for _ in range(len(whole) // 16):
            kind, size = struct.unpack("<2I", take(whole, at, 8))
            if kind == _NTFS_END:
                break
            if kind == _NTFS_VOLUME_NAME and take(whole, at + 8, 1) == b"\0":
                value_bytes, value_at = struct.unpack("<IH", take(whole, at + 16, 6))
                return decode_info(take(whole, at + value_at, value_bytes), "utf-16-le")
            require(size >= 16)
            at += size
    except NotALabelError:
        return ""
    return ""


def _restore_sector_ends(record: bytes) -> bytes:
    """Put back the last two bytes of each 512, which NTFS replaces by a counter to find torn writes."""
    array_at, count = struct.unpack("<2H", take(record, 4, 4))
    array = take(record, array_at, 2 * count)
    require(count == len(record) // 512 + 1)
    whole = bytearray(record)
    for sector in range(1, count):
        require(whole[512 * sector - 2 : 512 * sector] == array[:2])
        whole[512 * sector - 2 : 512 * sector] = array[2 * sector : 2 * sector + 2]
    return bytes(whole)
