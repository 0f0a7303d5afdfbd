"""Labels on media: what tells one recorded side from another, and who can read it.

Owns the shape of a label, the free label that RSM writes, and the recognisers of this process, plug-ins by the entry
point group `rsm.labels`; `rsm.labels.base` tells how to write one. Never reads or writes a medium, never looks at a
catalogue, never decides which pool a cartridge belongs to. Imports `rsm.errors`, `rsm.constants` and the standard
library, nothing above.

The labels that RSM knows by itself, in the order in which they are asked for. Plug-ins come between the free label and
the others.

| type | recogniser | what it is | the id |
|---|---|---|---|
| `RSM free` | `free` | RSM's own label of a cartridge that is free | the UUID in it, 16 bytes |
| `LTFS` | `ltfs` | a tape of the Linear Tape File System | the UUID of the volume, 16 bytes; where the read |
| | | | ended with the VOL1 block, its serial number |
| `ANSI VOL1` | `vol1` | a tape with ANSI X3.27 labels | the serial number, up to 6 characters |
| `IBM VOL1` | `vol1` | a tape with IBM's standard labels (EBCDIC) | the serial number, in ASCII |
| `Bacula`, `Bareos` | `bacula` | a volume of these programs | the name of the volume |
| `Amanda` | `amanda` | a tape of Amanda | its label |
| `MTF` | `mtf` | Microsoft Tape Format: Windows Backup, Backup Exec | media family id and number in it, 4 + 2 bytes |
| `tar` | `tar` | a stream of tar or pax | SHA-256 of the first 10,240 bytes, 16 of its bytes; of the volume |
| | | | label's header alone if there is one |
| `cpio` | `cpio` | a stream of cpio (newc, crc, odc, binary) | SHA-256 of the first 10,240 bytes, 16 of its bytes |
| `FAT`, `FAT32`, `exFAT`, `NTFS` | `disk` | a disk | the volume serial number, 4 bytes, as Windows tells it |
| `ext2`, `ext3`, `ext4`, `XFS` | `disk` | a disk | the UUID, 16 bytes |
| `btrfs` | `disk` | a disk | the UUIDs of the file system and of the device, 32 bytes |
| `ISO 9660` | `disk` | a disc, a bridge disc too | SHA-256 of the primary volume descriptor, 16 of its bytes |
| `UDF` | `disk` | a disc that has not ISO 9660 as well | the volume set identifier |

Where formats overlap: LTFS tapes begin with a VOL1, which `vol1` therefore refuses; a volume of Bacula with ANSI or
IBM labels is a VOL1; a bridge disc is never UDF; a disk on which two file systems are found is none. The label's text
is the name that people gave the volume, if it has one; of an archive without one it is a comment or the first member.
"""

from rsm.labels.base import MAXIMUM_HEAD_BYTES, MAXIMUM_ID_BYTES, MAXIMUM_INFO, MAXIMUM_TYPE, Label, Recogniser
from rsm.labels.free import FREE_LABEL_BYTES, FREE_TYPE, RECOGNISER, is_free, make_free_label
from rsm.labels.plugins import forget_recognisers, head_bytes, is_type_known, load_recognisers, recognise

__all__ = [
    "FREE_LABEL_BYTES",
    "FREE_TYPE",
    "MAXIMUM_HEAD_BYTES",
    "MAXIMUM_ID_BYTES",
    "MAXIMUM_INFO",
    "MAXIMUM_TYPE",
    "RECOGNISER",
    "Label",
    "Recogniser",
    "forget_recognisers",
    "head_bytes",
    "is_free",
    "is_type_known",
    "load_recognisers",
    "make_free_label",
    "recognise",
]
