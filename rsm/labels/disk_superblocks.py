"""ext2, ext3, ext4, XFS and btrfs: file systems with a superblock.

Owns these formats. The id is the UUID of the file system, for btrfs with the UUID of the device behind it, for the
devices of one file system share the first. Superblocks with a checksum are checked; those without are compared with
themselves.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Final

from rsm.labels.base import Label
from rsm.labels.fields import crc32c, decode_info, is_power_of_two, read_number, require, take, xxhash64

EXT_TYPES: Final = ("ext2", "ext3", "ext4")
XFS_TYPE: Final = "XFS"
BTRFS_TYPE: Final = "btrfs"

_ALL_ONES: Final = 0xFFFFFFFF
_EXT_AT, _EXT_BYTES = 1024, 1024
_EXT_JOURNAL, _EXT_JOURNAL_DEVICE, _EXT_CHECKSUM, _EXT_64BIT = 0x4, 0x8, 0x400, 0x80
# What ext3 knows of the features that say how to read, and how to write: what has others is ext4.
_EXT3_INCOMPATIBLE, _EXT3_READ_ONLY, _EXT_RECOVER = 0x16, 0x7, 0x4
_BTRFS_AT, _BTRFS_BYTES = 64 * 1024, 4096
_BTRFS_CHECKSUMS: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: lambda data: (crc32c(data) ^ _ALL_ONES).to_bytes(4, "little"),
    1: lambda data: xxhash64(data).to_bytes(8, "little"),
    2: lambda data: hashlib.sha256(data).digest(),
    3: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}


def read_ext(head: bytes) -> Label:
    """Return the label of an ext2, ext3 or ext4 file system."""
    block = take(head, _EXT_AT, _EXT_BYTES)
    require(block[56:58] == b"\x53\xef" and any(block[104:120]))
    inodes, blocks = struct.unpack_from("<2I", block, 0)
    first_block, block_shift = struct.unpack_from("<2I", block, 20)
    blocks_in_group, _, inodes_in_group = struct.unpack_from("<3I", block, 32)
    compatible, incompatible, read_only = struct.unpack_from("<3I", block, 92)
    require(not incompatible & _EXT_JOURNAL_DEVICE)
    if read_only & _EXT_CHECKSUM:
        require(crc32c(block[:1020]) == read_number(block, 1020, 4, "little"))
    if incompatible & _EXT_64BIT:
        blocks += read_number(block, 0x150, 4, "little") << 32
    require(block_shift <= 6 and first_block <= (block_shift == 0) and blocks_in_group > 0 and inodes_in_group > 0)
    require(blocks > first_block and inodes == -(-(blocks - first_block) // blocks_in_group) * inodes_in_group)
    if incompatible & ~_EXT3_INCOMPATIBLE or read_only & ~_EXT3_READ_ONLY:
        label_type = "ext4"
    else:
        label_type = "ext3" if compatible & _EXT_JOURNAL or incompatible & _EXT_RECOVER else "ext2"
    return Label(label_type, block[104:120], decode_info(block[120:136]))


def read_xfs(head: bytes) -> Label:
    """Return the label of an XFS file system, of version 5 with a checksum or version 4."""
    require(take(head, 0, 4) == b"XFSB")
    sector_bytes = read_number(head, 102, 2, "big")
    require(is_power_of_two(sector_bytes, 512, 32768))
    sector = take(head, 0, sector_bytes)
    block_bytes, blocks = struct.unpack_from(">IQ", sector, 4)
    group_blocks, groups = struct.unpack_from(">2I", sector, 84)
    version, inode_bytes = read_number(sector, 100, 2, "big") & 0xF, read_number(sector, 104, 2, "big")
    block_shift, sector_shift, inode_shift = sector[120:123]
    require(is_power_of_two(block_bytes, 512, 65536) and is_power_of_two(inode_bytes, 256, 2048))
    shifts = (block_bytes, sector_bytes, inode_bytes)
    require(shifts == (1 << block_shift, 1 << sector_shift, 1 << inode_shift))
    require(groups > 0 and (groups - 1) * group_blocks < blocks <= groups * group_blocks)
    require(version in (4, 5) and sector[126] == 0 and any(sector[32:48]))
    if version == 5:
        checksum = crc32c(sector[:224] + bytes(4) + sector[228:]) ^ _ALL_ONES
        require(checksum == read_number(sector, 224, 4, "little"))
    else:
        require(not any(sector[208:264]))  # the fields that only version 5 has
    return Label(XFS_TYPE, sector[32:48], decode_info(sector[108:120]))


def read_btrfs(head: bytes) -> Label:
    """Return the label of a device of a btrfs file system."""
    block = take(head, _BTRFS_AT, _BTRFS_BYTES)
    require(block[64:72] == b"_BHRfS_M" and read_number(block, 48, 8, "little") == _BTRFS_AT)
    make_checksum = _BTRFS_CHECKSUMS.get(read_number(block, 196, 2, "little"))
    require(make_checksum is not None)
    assert make_checksum is not None
    checksum = make_checksum(block[32:])
    require(block[:32].startswith(checksum) and any(block[32:48]))
    return Label(BTRFS_TYPE, block[32:48] + block[267:283], decode_info(block[299:555]))
