"""The ways to a device: addresses, SG_IO, and what is said where a package, a device or a right is missing."""

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from libraries.scsi import tgt

import rsm
from rsm.libraries import canonical_address, open_library
from rsm.libraries.scsi import iscsi, sg
from rsm.libraries.scsi.discovery import scan
from rsm.libraries.scsi.transport import (
    PASSWORD_VARIABLE,
    USER_VARIABLE,
    Credentials,
    IscsiAddress,
    LostError,
    Reply,
    Status,
    find_credentials,
    open_transport,
    parse_iscsi,
    parse_portal,
)

COMMAND = bytes.fromhex("b81203e80002000001000000")


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("iscsi://robot:3261/iqn.2003-01.org:x/1", IscsiAddress("robot:3261", "iqn.2003-01.org:x", 1)),
        ("iscsi://10.0.0.1/iqn.x/0", IscsiAddress("10.0.0.1:3260", "iqn.x", 0)),
        ("iscsi://[fe80::1]:99/iqn.x%3Ay/16383", IscsiAddress("[fe80::1]:99", "iqn.x:y", 16_383)),
        ("iscsi://alice@robot/iqn.x/1", IscsiAddress("alice@robot:3260", "iqn.x", 1)),
        ("iscsi://alice@[::1]/iqn.x/1", IscsiAddress("alice@[::1]:3260", "iqn.x", 1)),
    ],
)
def test_iscsi_addresses(address: str, parts: IscsiAddress) -> None:
    assert parse_iscsi(address) == parts
    assert parse_iscsi(str(parts)) == parts


@pytest.mark.parametrize(
    "address",
    [
        "iscsi://robot:3261/iqn.x",
        "iscsi://robot/iqn.x/",
        "iscsi:///iqn.x/1",
        "iscsi://robot:port/iqn.x/1",
        "iscsi://robot:70000/iqn.x/1",
        "iscsi://robot/iqn.x/16384",
        "iscsi://robot/iqn.x/-1",
        "iscsi://robot/iqn.x/²",
        "iscsi://[robot/iqn.x/1",
        "iscsi://@robot/iqn.x/1",
    ],
)
def test_what_is_no_iscsi_address_is_refused(address: str) -> None:
    with pytest.raises(rsm.InvalidLibraryError, match="iSCSI address"):
        open_transport(address)


@pytest.mark.parametrize(
    ("address", "portal"),
    [("iscsi://robot", "robot:3260"), ("iscsi://robot:1/", "robot:1"), ("iscsi://[::1]:2", "[::1]:2")],
)
def test_portals(address: str, portal: str) -> None:
    assert parse_portal(address) == portal


@pytest.mark.parametrize("address", ["robot", "iscsi://", "iscsi://robot/iqn.x", "iscsi://robot:x", "http://robot"])
def test_what_is_no_portal_is_refused_before_anything_is_looked_for(address: str) -> None:
    with pytest.raises(rsm.InvalidLibraryError, match="iSCSI portal"):
        scan(["iscsi://robot", address])


@pytest.mark.parametrize("form", ["iscsi://alice:{}@robot", "iscsi://alice%{}@robot", "iscsi://alice:{}@robot:x"])
@pytest.mark.parametrize("rest", ["", "/iqn.x/1"])
def test_password_in_an_address_is_refused_and_not_repeated(form: str, rest: str) -> None:
    with pytest.raises(rsm.InvalidLibraryError) as caught:
        (parse_iscsi if rest else parse_portal)(form.format("sesame") + rest)
    assert "sesame" not in str(caught.value)


def test_credentials_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "sesame")
    monkeypatch.delenv(USER_VARIABLE, raising=False)
    assert find_credentials("") is None
    monkeypatch.setenv(USER_VARIABLE, "bob")
    assert (find_credentials(""), find_credentials("alice")) == (
        Credentials("bob", "sesame"),
        Credentials("alice", "sesame"),
    )
    assert "sesame" not in repr(find_credentials(""))
    monkeypatch.delenv(PASSWORD_VARIABLE)
    with pytest.raises(rsm.AccessDeniedError, match=f"set {PASSWORD_VARIABLE}"):
        find_credentials("")


@pytest.mark.parametrize(
    ("address", "one"),
    [
        ("iscsi://robot/iqn.x/01?drives=/dev/sg1", "iscsi://robot:3260/iqn.x/1?drives=/dev/sg1"),
        ("iscsi://alice@ROBOT:3260/iqn.x/1", "iscsi://alice@robot:3260/iqn.x/1"),
        ("/dev/tape/by-id/changer?drives=-", "/dev/tape/by-id/changer?drives=-"),
    ],
)
def test_one_device_has_one_address(address: str, one: str) -> None:
    assert canonical_address("scsi", address) == canonical_address("scsi", one) == one
    assert canonical_address("virtual", address) == address


@pytest.mark.parametrize("address", ["", "sg0", "http://x/y/1", "/dev/null?tapes=1", "/dev/null?drives="])
def test_what_is_no_address_at_all_is_refused(address: str) -> None:
    with pytest.raises(rsm.InvalidLibraryError):
        open_library("scsi", address)


def test_library_that_is_not_installed_is_named_by_its_package() -> None:
    with pytest.raises(rsm.DeviceNotAvailableError, match=r"install the package libiscsi7 or libiscsi8"):
        iscsi.load_libiscsi(("libiscsi-of-nowhere.so.1",))


def test_tests_on_a_target_say_which_package_they_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tgt.shutil, "which", lambda name, path: f"/usr/sbin/{name}")
    monkeypatch.setattr(tgt, "load_libiscsi", lambda: None)
    assert tgt.what_is_missing() is None
    monkeypatch.setattr(tgt, "load_libiscsi", lambda: iscsi.load_libiscsi(("libiscsi-of-nowhere.so.1",)))
    assert "package libiscsi7" in str(tgt.what_is_missing())
    monkeypatch.setattr(tgt.shutil, "which", lambda name, path: None)
    assert "package tgt" in str(tgt.what_is_missing())


class OtherLibrary:
    """A libiscsi of a later day, which has the functions and lays its tasks out in its own way."""

    def __init__(self, shift: int, full_size: int) -> None:
        self.shift, self.full_size, self.freed = shift, full_size, 0
        self.memory = ctypes.create_string_buffer(512)

    def scsi_create_task(self, length: int, cdb: bytes, direction: int, expected: int) -> int:
        """Make a task some bytes further on than it should be."""
        task = iscsi.Task.from_buffer(self.memory, self.shift)
        task.cdb_size, task.direction, task.expected_length = length, direction, expected
        ctypes.memmove(task.cdb, cdb, length)
        return ctypes.addressof(self.memory)

    def scsi_datain_getfullsize(self, _: int) -> int:
        """Look for the answer where this library has it."""
        return self.full_size

    def scsi_free_scsi_task(self, _: int) -> None:
        """Count."""
        self.freed += 1


@pytest.mark.parametrize(
    ("shift", "full_size", "understood"), [(0, 36, True), (0, 0, False), (0, 5, False), (8, 36, False), (4, 36, False)]
)
def test_library_that_lays_tasks_out_otherwise_is_not_used(shift: int, full_size: int, understood: bool) -> None:
    library: Any = OtherLibrary(shift, full_size)
    assert iscsi._understands_tasks(library) is understood
    assert library.freed == 1


def test_library_without_the_functions_that_are_needed_is_none() -> None:
    with pytest.raises(rsm.DeviceNotAvailableError, match="libiscsi7"):
        iscsi.load_libiscsi(("libc.so.6",))


# --- SG_IO ----------------------------------------------------------------------------------------------------------


class Kernel:
    """Stands where ioctl is, and answers as the driver does."""

    def __init__(self, data: bytes = b"", sense: bytes = b"", **fields: int) -> None:
        self.data, self.sense, self.fields = data, sense, fields
        self.seen: dict[str, Any] = {}

    def __call__(self, _descriptor: int, request: int, header: sg.SgHeader) -> int:
        """Answer SG_IO."""
        assert request == sg.SG_IO
        self.seen = {name: getattr(header, name) for name, _ in sg.SgHeader._fields_}
        self.seen["command"] = ctypes.string_at(header.cdb, header.cdb_length)
        if header.length and header.direction == -2:
            self.seen["written"] = ctypes.string_at(header.data, header.length)
        elif header.length:
            ctypes.memmove(header.data, self.data, min(len(self.data), header.length))
            header.residual = header.length - len(self.data)
        ctypes.memmove(header.sense, self.sense, min(len(self.sense), header.sense_size))
        header.sense_written = min(len(self.sense), header.sense_size)
        for name, value in self.fields.items():
            setattr(header, name, value)
        return 0


def execute(monkeypatch: pytest.MonkeyPatch, kernel: Any, **options: Any) -> Reply:
    """Give a command to /dev/null, whose ioctl is the kernel's stand-in."""
    monkeypatch.setattr(fcntl, "ioctl", kernel)
    with sg.SgTransport("/dev/null") as transport:
        return transport.execute(COMMAND, timeout_seconds=1.5, **options)


def test_header_is_laid_out_as_the_kernel_has_it_on_64_bits() -> None:
    assert ctypes.sizeof(sg.SgHeader) == 88
    offsets = {"length": 12, "data": 16, "cdb": 24, "sense": 32, "timeout_ms": 40, "user_pointer": 56, "status": 64}
    offsets |= {"sense_written": 67, "host_status": 68, "driver_status": 70, "residual": 72, "info": 80}
    assert {name: getattr(sg.SgHeader, name).offset for name in offsets} == offsets


def test_answer_is_what_was_transferred(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(b"short")
    assert execute(monkeypatch, kernel, read_length=256) == Reply(Status.GOOD, b"short")
    assert (kernel.seen["command"], kernel.seen["timeout_ms"], kernel.seen["direction"]) == (COMMAND, 1500, -3)


def test_what_came_with_sense_data_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(b"short", b"\x70\0\x20", status=2)
    expected = Reply(Status.CHECK_CONDITION, b"short\0\0\0", b"\x70\0\x20", 3)
    assert execute(monkeypatch, kernel, read_length=8) == expected


def test_data_is_given_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    assert execute(monkeypatch, kernel, write=b"da\0ta") == Reply(Status.GOOD)
    assert (kernel.seen["written"], kernel.seen["direction"]) == (b"da\0ta", -2)
    assert execute(monkeypatch, kernel) == Reply(Status.GOOD)
    assert (kernel.seen["length"], kernel.seen["data"], kernel.seen["direction"]) == (0, None, -1)


@pytest.mark.parametrize("fields", [{"status": 2, "driver_status": 8}, {"status": 2}, {"driver_status": 8}])
def test_sense_data_is_kept(monkeypatch: pytest.MonkeyPatch, fields: dict[str, int]) -> None:
    sense = bytes.fromhex("70000500000000 0a 00000000 3b0d 00000000")
    assert execute(monkeypatch, Kernel(sense=sense, **fields)) == Reply(Status.CHECK_CONDITION, b"", sense)


@pytest.mark.parametrize("fields", [{"host_status": 3}, {"driver_status": 6}])
def test_command_that_did_not_get_through_is_lost(monkeypatch: pytest.MonkeyPatch, fields: dict[str, int]) -> None:
    with pytest.raises(LostError, match="did not get through"):
        execute(monkeypatch, Kernel(**fields))


def test_device_that_goes_away_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> int:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    with pytest.raises(LostError, match="No such device"):
        execute(monkeypatch, gone)


@pytest.mark.parametrize(("number", "error"), [(errno.EPERM, rsm.AccessDeniedError), (errno.EBUSY, rsm.BusyError)])
def test_command_that_the_kernel_does_not_take_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, number: int, error: type[rsm.RsmError]
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with pytest.raises(error):
        execute(monkeypatch, refuse)


def test_closed_transport_is_refused_and_closing_twice_is_nothing() -> None:
    transport = sg.SgTransport("/dev/null")
    transport.close()
    transport.close()
    with pytest.raises(rsm.DeviceNotAvailableError, match="closed"):
        transport.execute(COMMAND, timeout_seconds=1)


def test_what_takes_no_scsi_commands_is_no_library() -> None:
    with pytest.raises(rsm.DeviceNotAvailableError, match="/dev/null takes no SCSI commands"):
        open_library("scsi", "/dev/null")


def test_device_that_is_not_there_is_named() -> None:
    with pytest.raises(rsm.DeviceNotAvailableError, match="/dev/sg4711: there is no such device"):
        open_library("scsi", "/dev/sg4711")


def test_device_that_is_another_groups_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    device = tmp_path / "sg0"
    device.touch()
    group = sg.grp.getgrgid(device.stat().st_gid).gr_name
    monkeypatch.setattr(sg.os, "open", forbidden)
    with pytest.raises(rsm.AccessDeniedError, match=f"add the user to the group {group} "):
        open_library("scsi", str(device))


def test_devices_of_a_host_are_found_by_type_and_number(tmp_path: Path) -> None:
    for name, kind in (("sg10", "8"), ("sg2", "1"), ("sg11", "1"), ("sg3", "0"), ("bsg", "1"), ("sg4", "x")):
        (tmp_path / name / "device").mkdir(parents=True)
        (tmp_path / name / "device" / "type").write_text(f"{kind}\n")
    for name in ("st0", "nst0", "nst0a", "st0l"):
        (tmp_path / "sg2" / "device" / "scsi_tape" / name).mkdir(parents=True)
    assert sg.list_devices(1, str(tmp_path)) == ["/dev/sg2", "/dev/sg11"]
    assert sg.list_devices(8, str(tmp_path)) == ["/dev/sg10"]
    assert sg.tape_path_of("/dev/sg2", str(tmp_path)) == "/dev/nst0"
    assert sg.tape_path_of("/dev/sg11", str(tmp_path)) is None
    assert sg.list_devices(1, str(tmp_path / "nowhere")) == []
