"""A SCSI target of the tests' own: tgtd with a changer, its drives and its cartridges, on a free port and socket."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from rsm.errors import DeviceNotAvailableError
from rsm.libraries.scsi.iscsi import load_libiscsi

DRIVES = 2
DRIVE, ROBOT, PORT, SLOT = 1, 16, 32, 1000  # the first address of each kind
CHANGER_LUN = 9
IQN = "iqn.2003-01.org.rsm:tests"
CARTRIDGES = {1: "A00001L8", 2: "B00002L8", 3: "P00003L8", 4: "X00004L8"}
CLEANER = (20, "CLN001L8")
PATIENCE_SECONDS = 20.0


def what_is_missing() -> str | None:
    """Return which package a SCSI target needs and this machine has not, None if nothing is missing."""
    if not all(shutil.which(name, path=_path()) for name in ("tgtd", "tgtadm", "tgtimg")):
        return "the package tgt is not installed: apt-get install tgt"
    try:
        load_libiscsi()
    except DeviceNotAvailableError:
        return "the package libiscsi7 is not installed: apt-get install libiscsi7"
    return None


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Target:
    """A changer with 2 drives; four data cartridges in slots 1 to 4, and a cleaner in slot 20 where there is one."""

    def __init__(self, folder: Path, slots: int = 20, ports: int = 4, ping_seconds: int = 0) -> None:
        self.ping_seconds = ping_seconds
        self.slots, self.ports = slots, ports
        self.folder = folder
        self.media = folder / "media"
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        # The path of a socket is short; those of tests are long.
        self._environment = {**os.environ, "PATH": _path(), "TGT_IPC_SOCKET": f"/tmp/rsm-tgt-{os.getpid()}-{self.port}"}
        self._log = folder / "tgtd.log"

    @property
    def address(self) -> str:
        """The changer's address."""
        return f"iscsi://127.0.0.1:{self.port}/{IQN}/{CHANGER_LUN}"

    def drive_address(self, number: int) -> str:
        """The address of a drive."""
        return f"iscsi://127.0.0.1:{self.port}/{IQN}/{number}"

    def make_media(self) -> None:
        """Make the images of the cartridges and of the changer."""
        self.media.mkdir()
        (self.folder / "changer").write_bytes(bytes(1024))
        for barcode in CARTRIDGES.values():
            self.make_cartridge(barcode)
        self.make_cartridge(CLEANER[1], "clean")
        self.make_cartridge("none", "clean")

    def make_cartridge(self, barcode: str, kind: str = "data") -> None:
        """Make the image of one cartridge."""
        path = str(self.media / barcode)
        tool = ("tgtimg", "--op", "new", "--device-type", "tape", "--thin-provisioning")
        self._call(*tool, "--barcode", barcode, "--size", "1", "--type", kind, "--file", path)

    def start(self, places: dict[int, str] | None = None) -> None:
        """Start the daemon and describe the library to it; `places` are addresses with the bar codes there."""
        pings = f",nop_interval={self.ping_seconds},nop_count=1" if self.ping_seconds else ""
        command = ("tgtd", "-f", "--iscsi", f"portal=127.0.0.1:{self.port}{pings}")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._admin("--mode", "system", "--op", "show")
                break
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError(f"tgtd did not start: {self._log.read_text(errors='replace')}")
        self._admin("--mode", "target", "--op", "new", "--tid", "1", "-T", IQN)
        for number in range(1, DRIVES + 1):
            self._unit("new", number, "-b", str(self.media / "none"), "--device-type", "tape")
            names = f"vendor_id=IBM,product_id=ULTRIUM-TD8,product_rev=0001,scsi_sn=DRV{number:05d},removable=1"
            self._unit("update", number, "--params", names)
            self._unit("update", number, "--params", "online=0")
        self._unit("new", CHANGER_LUN, "-b", str(self.folder / "changer"), "--device-type", "changer")
        self._changer("vendor_id=RSM,product_id=TESTCHANGER,product_rev=0001,scsi_sn=CHG00001,removable=1")
        self._changer(f"media_home={self.media}")
        for kind, first, count in ((1, ROBOT, 1), (2, SLOT, self.slots), (3, PORT, self.ports), (4, DRIVE, DRIVES)):
            self._changer(f"element_type={kind},start_address={first},quantity={count}")
        for number in range(1, DRIVES + 1):
            self._changer(f"element_type=4,address={DRIVE + number - 1},tid=1,lun={number}")
        home = {SLOT + slot - 1: barcode for slot, barcode in (*CARTRIDGES.items(), CLEANER) if slot <= self.slots}
        for address, barcode in (home if places is None else places).items():
            self.put(address, barcode)
        self._admin("--mode", "target", "--op", "bind", "--tid", "1", "-I", "ALL")

    def put(self, address: int, barcode: str) -> None:
        """Put a cartridge into a slot or port, as a person would."""
        kind = 3 if PORT <= address < PORT + self.ports else 2
        self._changer(f"element_type={kind},address={address},barcode={barcode},sides=1")

    def take(self, address: int) -> None:
        """Take a cartridge out of a slot or port, as a person would."""
        kind = 3 if PORT <= address < PORT + self.ports else 2
        self._changer(f"element_type={kind},address={address},clear_slot=1")

    def let_go(self, number: int) -> None:
        """Have a drive let go of what is in it by itself, as one does with a cleaner when it is clean."""
        self._unit("update", number, "--params", "online=0")

    def ask_for(self, user: str, password: str) -> None:
        """Let nobody in any more but this user."""
        self._admin("--mode", "account", "--op", "new", "--user", user, "--password", password)
        self._admin("--mode", "account", "--op", "bind", "--tid", "1", "--user", user)

    def stop(self) -> None:
        """End the daemon at once, as a power failure would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._environment['TGT_IPC_SOCKET']}.0")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._environment['TGT_IPC_SOCKET']}.0.lock")

    def _unit(self, operation: str, lun: int, *arguments: str) -> None:
        self._admin("--mode", "logicalunit", "--op", operation, "--tid", "1", "--lun", str(lun), *arguments)

    def _changer(self, parameters: str) -> None:
        self._unit("update", CHANGER_LUN, "--params", parameters)

    def _admin(self, *arguments: str) -> None:
        self._call("tgtadm", "--lld", "iscsi", *arguments)

    def _call(self, *command: str) -> None:
        subprocess.run(command, env=self._environment, check=True, capture_output=True)
