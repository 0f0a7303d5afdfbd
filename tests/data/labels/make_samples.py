"""Makes the samples in this folder again: media that the real programs wrote, cut to what a recogniser looks at.

Run as root in a throw-away Debian 12 (a container or chroot), for the services of Bacula and Amanda are set up:

    apt-get install --no-install-recommends python3 cpio busybox libarchive-tools git fdisk e2fsprogs xfsprogs \
        btrfs-progs dosfstools exfatprogs ntfs-3g genisoimage xorriso udftools amanda-server libencode-locale-perl \
        bacula-director bacula-director-sqlite3 bacula-sd bacula-console
    python3 make_samples.py FOLDER

The samples kept here were written by these versions of the Debian packages:

    amanda-server 1:3.5.1-11+deb12u2, bacula-sd 9.6.7-7, btrfs-progs 6.2-1+deb12u2, busybox 1:1.35.0-4+deb12u1,
    cpio 2.13+dfsg-7.1, dosfstools 4.2-1, e2fsprogs 1.47.0-2, exfatprogs 1.2.0-1+deb12u1, fdisk 2.38.1-5+deb12u3,
    genisoimage 9:1.1.11-3.4, git 1:2.39.5-0+deb12u3, libarchive-tools 3.6.2-1+deb12u4, ntfs-3g 1:2022.10.3-1+deb12u3,
    tar 1.34+dfsg-1.2+deb12u1, udftools 2.3-1, xfsprogs 6.1.0-1, xorriso 1.5.4-4

Every sample is NAME.xz, compressed with xz: most of a new file system is zeros. What the tests expect of each stands in
`tests/labels/test_formats_samples.py`. Ids and times that a program makes up are given to it where it takes them; where
it does not (Bacula, ISO 9660, exFAT, NTFS, a device of btrfs), new samples have new ids.
"""

import lzma
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

KIB, MIB = 1024, 1024 * 1024
UUID = "6a1d3c52-8a1f-4c0e-9d2b-0123456789ab"
DATE = "2030-05-01T12:00:00Z"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "SOURCE_DATE_EPOCH": "1903867200",
    "GIT_AUTHOR_DATE": DATE,
    "GIT_COMMITTER_DATE": DATE,
}


def run(command: str, work: Path, text: str | None = None) -> None:
    """Run one command in the work folder and show what it said if it fails."""
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=work,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT,
    )
    if result.returncode:
        raise SystemExit(f"{command}\n{result.stdout}{result.stderr}")


def keep(source: Path, folder: Path, name: str, size: int) -> None:
    """Keep the first bytes of a medium as a sample."""
    with source.open("rb") as file:
        head = file.read(size)
    (folder / f"{name}.xz").write_bytes(lzma.compress(head, preset=9 | lzma.PRESET_EXTREME))


def make_tree(work: Path) -> None:
    tree = work / "tree"
    (tree / "letters").mkdir(parents=True)
    (tree / "letters" / "a.txt").write_text("one\n" * 100)
    (tree / "letters" / "b.txt").write_text("two\n" * 3000)
    (tree / ("long-" * 30)).write_text("a name of more than 100 characters\n")
    run(f"find tree -exec touch -h -d {DATE} {{}} +", work)


ARCHIVES = {
    "tar-v7": "tar --format=v7 --sort=name --owner=root:0 --group=root:0 -cf {} tree/letters",
    "tar-ustar": "tar --format=ustar --sort=name --owner=root:0 --group=root:0 -cf {} tree/letters",
    "tar-gnu": "tar --format=gnu --sort=name --owner=root:0 --group=root:0 -cf {} tree",
    "tar-gnu-label": "tar --format=gnu --label='Weekly 7' --sort=name --owner=root:0 --group=root:0 -cf {} tree",
    "tar-gnu-sparse": "truncate -s 1M sparse && echo x >> sparse && tar -S --format=gnu -cf {} sparse",
    "tar-pax": "tar --format=pax --sort=name --owner=root:0 --group=root:0 -cf {} tree",
    "tar-pax-label": "tar --format=pax --label='Weekly 8' --owner=root:0 --group=root:0 -cf {} tree/letters",
    "tar-small": "echo hello > hello && tar -b1 -cf {} hello",
    "tar-busybox": "busybox tar -cf {} tree/letters",
    "tar-bsd": "bsdtar -cf {} tree/letters",
    "tar-git": "git init -q && git add tree && git -c user.name=n -c user.email=e commit -q -m m"
    " && git archive --format=tar -o {} HEAD tree/letters",
    "cpio-newc": "find tree | sort | cpio -o -H newc > {}",
    "cpio-crc": "find tree/letters | sort | cpio -o -H crc > {}",
    "cpio-odc": "find tree/letters | sort | cpio -o -H odc > {}",
    "cpio-bin": "find tree/letters | sort | cpio -o -H bin > {}",
    "cpio-small": "echo tree | cpio -o -H newc > {}",
}

DISKS = {
    "ext2": (2 * MIB, f"mkfs.ext2 -q -U {UUID} -L Shelf2 {{}}", 2 * KIB),
    "ext3": (8 * MIB, f"mkfs.ext3 -q -U {UUID} -L Shelf3 {{}}", 2 * KIB),
    "ext4": (64 * MIB, f"mkfs.ext4 -q -U {UUID} -L 'Shelf 4' {{}}", 2 * KIB),
    "ext4-plain": (64 * MIB, f"mkfs.ext4 -q -O ^metadata_csum -U {UUID} {{}}", 2 * KIB),
    "ext4-journal": (8 * MIB, f"mkfs.ext4 -q -O journal_dev -U {UUID} {{}}", 2 * KIB),
    "xfs": (512 * MIB, f"mkfs.xfs -q -m uuid={UUID} -L ShelfX {{}}", 4 * KIB),
    "xfs-v4": (512 * MIB, f"mkfs.xfs -q -m crc=0,uuid={UUID} -L ShelfX4 {{}}", 4 * KIB),
    "btrfs": (256 * MIB, f"mkfs.btrfs -q -U {UUID} -L 'Shelf B' {{}}", 68 * KIB),
    "btrfs-sha256": (256 * MIB, f"mkfs.btrfs -q --csum sha256 -U {UUID} {{}}", 68 * KIB),
    "btrfs-blake2": (256 * MIB, f"mkfs.btrfs -q --csum blake2 -U {UUID} {{}}", 68 * KIB),
    "btrfs-xxhash": (256 * MIB, f"mkfs.btrfs -q --csum xxhash -U {UUID} {{}}", 68 * KIB),
    "fat12": (1440 * KIB, "mkfs.fat -F 12 -i 12345678 -n FLOPPY {}", 20 * KIB),
    "fat16": (32 * MIB, "mkfs.fat -F 16 -i 89ABCDEF -n SHELF16 {}", 112 * KIB),
    "fat16-unnamed": (32 * MIB, "mkfs.fat -F 16 -i 89ABCDEF {}", 112 * KIB),
    "fat32": (64 * MIB, "mkfs.fat -F 32 -i 0A0B0C0D -n 'SHELF 32' {}", 640 * KIB),
    "exfat": (8 * MIB, "mkfs.exfat -b 64K -c 4K -L 'Shelf \u00e9' {}", 640 * KIB),
    "exfat-far": (512 * MIB, "mkfs.exfat -b 4M -L Far {}", 640 * KIB),
    "ntfs": (16 * MIB, "mkntfs -q -F -L 'Shelf \u00fc' {}", 32 * KIB),
    "udf-2048": (16 * MIB, f"mkudffs --utf8 -b 2048 --lvid='Disc \u0150' --uuid={UUID[:8]}9abcdef0 {{}}", 640 * KIB),
    "udf-512": (16 * MIB, f"mkudffs --utf8 -b 512 --lvid=Disk --uuid={UUID[:8]}9abcdef1 {{}}", 640 * KIB),
    "udf-dvdram": (16 * MIB, f"mkudffs -m dvdram --lvid=Ram --uuid={UUID[:8]}9abcdef2 {{}}", 640 * KIB),
    "iso-genisoimage": (0, "genisoimage -quiet -J -R -V Disc_1 -o {} tree", 34 * KIB),
    "iso-xorriso": (0, "xorriso -as mkisofs -quiet -J -R -V DISC_2 -o {} tree", 34 * KIB),
    "iso-bridge": (0, "genisoimage -quiet -udf -V Bridge -o {} tree", 640 * KIB),
    "partitions-mbr": (16 * MIB, "echo 'label: dos\n2048,8192,c,*' | sfdisk -q {}", 34 * KIB),
    "partitions-gpt": (16 * MIB, "echo 'label: gpt\n2048,8192' | sfdisk -q {}", 34 * KIB),
}


def make_archives(work: Path, folder: Path) -> None:
    for name, command in ARCHIVES.items():
        run(command.format(name), work)
        keep(work / name, folder, name, 16 * KIB)


def make_disks(work: Path, folder: Path) -> None:
    for name, (size, command, kept) in DISKS.items():
        if size:
            run(f"truncate -s {size} {name}", work)
        run(command.format(name), work)
        keep(work / name, folder, name, kept)


AMANDA = """org "lab"
infofile "/tmp/amanda/info"
logdir "/tmp/amanda"
indexdir "/tmp/amanda/index"
tapelist "/etc/amanda/lab/tapelist"
tpchanger "chg-disk:/tmp/amanda/tapes"
tapetype HARDDISK
define tapetype HARDDISK {
  length 100 mbytes
}
labelstr "^Lab"
"""


def make_amanda(work: Path, folder: Path) -> None:
    Path("/etc/amanda/lab").mkdir(exist_ok=True)
    Path("/etc/amanda/lab/amanda.conf").write_text(AMANDA)
    Path("/etc/amanda/lab/tapelist").write_text("")
    run("rm -rf /tmp/amanda && mkdir -p /tmp/amanda/tapes/slot1", work)
    run("chown -R backup:backup /etc/amanda/lab /tmp/amanda", work)
    run("su -s /bin/sh backup -c 'amlabel lab Lab-0001 slot 1'", work)
    keep(Path("/tmp/amanda/tapes/slot1/00000.Lab-0001"), folder, "amanda", 32 * KIB)


BACULA_STORED = """Storage { Name = sd; WorkingDirectory = /tmp/bacula; Pid Directory = /tmp/bacula; SDPort = 19103;
  SDAddress = 127.0.0.1 }
Director { Name = dir; Password = "pw" }
Messages { Name = Standard; director = dir = all }
"""
BACULA_DEVICE = """Device { Name = Dev%(name)s; Media Type = %(name)s; Archive Device = /tmp/bacula/%(name)s
  LabelMedia = yes
  Random Access = yes; AutomaticMount = yes; RemovableMedia = no; AlwaysOpen = no; Label Type = %(name)s }
"""
BACULA_DIRECTOR = """Director { Name = dir; DIRport = 19101; Password = "pw"
  QueryFile = "/etc/bacula/scripts/query.sql"
  WorkingDirectory = /tmp/bacula; PidDirectory = /tmp/bacula; Messages = Standard; DirAddress = 127.0.0.1 }
Catalog { Name = Cat; dbname = "bacula"; dbuser = "bacula"; dbpassword = "" }
Messages { Name = Standard; console = all }
Pool { Name = Weekly; Pool Type = Backup }
Client { Name = c; Address = 127.0.0.1; FDPort = 19102; Catalog = Cat; Password = "pw" }
FileSet { Name = "f"; Include { File = /etc/hostname } }
Schedule { Name = s }
Job { Name = j; Type = Backup; Level = Full; Client = c; FileSet = f; Schedule = s; Storage = Bacula
  Messages = Standard; Pool = Weekly }
"""
BACULA_STORAGE = """Storage { Name = %(name)s; Address = 127.0.0.1; SDPort = 19103; Password = "pw"
  Device = Dev%(name)s; Media Type = %(name)s }
"""
BACULA_VOLUMES = {"Bacula": ("bacula", "Weekly-0001"), "ANSI": ("vol1-ansi", "ANS001"), "IBM": ("vol1-ibm", "IBM001")}


def make_bacula(work: Path, folder: Path) -> None:
    """Label three volumes; the reserved fields of VOL1 are what happened to be in the memory of Bacula."""
    run("rm -rf /tmp/bacula && mkdir /tmp/bacula && cp /var/lib/bacula/bacula.db /tmp/bacula/", work)
    stored, director, orders = BACULA_STORED, BACULA_DIRECTOR, ""
    for name, (_, volume) in BACULA_VOLUMES.items():
        Path("/tmp/bacula", name).mkdir()
        stored += BACULA_DEVICE % {"name": name}
        director += BACULA_STORAGE % {"name": name}
        orders += f"label storage={name} volume={volume} pool=Weekly slot=0 drive=0\n"
    Path("/tmp/bacula/sd.conf").write_text(stored)
    Path("/tmp/bacula/dir.conf").write_text(director)
    console = 'Director { Name = dir; DIRport = 19101; address = 127.0.0.1; Password = "pw" }\n'
    Path("/tmp/bacula/console.conf").write_text(console)
    commands = ["bacula-sd -f -c /tmp/bacula/sd.conf", "bacula-dir -f -c /tmp/bacula/dir.conf"]
    daemons = [subprocess.Popen(shlex.split(command)) for command in commands]
    time.sleep(3)
    run("bconsole -c /tmp/bacula/console.conf", work, orders + "quit\n")
    for daemon in daemons:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
    for name, (sample, volume) in BACULA_VOLUMES.items():
        keep(Path("/tmp/bacula", name, volume), folder, sample, KIB)


MAKERS: tuple[Callable[[Path, Path], None], ...] = (make_archives, make_disks, make_amanda, make_bacula)


def main() -> None:
    folder, work = Path(sys.argv[1]).resolve(), Path("/tmp/samples")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    make_tree(work)
    for maker in MAKERS:
        maker(work, folder)


if __name__ == "__main__":
    main()
