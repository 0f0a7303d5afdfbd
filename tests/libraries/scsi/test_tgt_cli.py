"""The command on tgt's changer over iSCSI: looking for it, putting it on record, and the demonstration on it."""

import json
from pathlib import Path

import pytest
from libraries.scsi.test_tgt import HOMES, places
from libraries.scsi.tgt import CARTRIDGES, Target

from rsm.cli import main
from rsm.libraries import open_library

pytestmark = pytest.mark.works


def test_robot_is_found_put_on_record_and_shown(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--plain", "library", "scan", f"iscsi://127.0.0.1:{target.port}"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = [line[1] for line in lines if line[0] == "changer"]
    assert found[-1] == target.address
    assert [line[7:10] for line in lines if line[6:7] == [target.address] and line[0] == "drive"] == [
        ["1", "1", "serial number"],
        ["2", "2", "beginning of its identifier"],
    ]
    words = ["--database", str(tmp_path / "rsm.db"), "library"]
    assert main([*words, "add", "scsi", found[-1], "--name", "Robot"]) == 0
    assert "The inventory of Robot found 5 cartridges" in capsys.readouterr().out
    assert main([*words, "show", "Robot"]) == 0
    shown = capsys.readouterr().out
    assert all(barcode in shown for barcode in HOMES.values())


def test_demo_spans_the_tapes_of_a_robot_and_leaves_it_as_it_was(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "data").write_bytes(bytes(range(256)) * 6000)
    words = ["demo", "--library", target.address, "--source", str(source), "--directory", str(tmp_path), "--yes"]
    assert main(["--json", *words]) == 0
    document = json.loads(capsys.readouterr().out)
    told = {step["step"]: step["result"] for step in document["steps"]}
    assert document["expected"] is True
    assert told["make the cartridges blank again"] == ", ".join(CARTRIDGES.values())
    assert document["summary"][1]["cartridges"] == 2
    with open_library("scsi", target.address) as library:
        assert places(library) == HOMES
        for address in list(HOMES)[:2]:
            library.move(address, 1, 1)
            with library.open_side(1, 1, "rb") as file:
                assert file.read() == b""
            library.unload_drive(1, 1)
            library.move(1, address, 1)
