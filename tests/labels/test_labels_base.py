"""Labels: what one may say, in the same limits as the catalogue that records it."""

import dataclasses
import pickle
from typing import Any

import pytest

import rsm
from rsm.labels import Label
from rsm.services.names import check_label_info, check_label_type

ASTRAL = "\U0001f4fc"  # one character, two UTF-16 units
TEXTS = {
    "empty": "",
    "plain": "Nightly 7",
    "line end": "a\nb",
    "escape": "\x1b[0m",
    "NUL": "a\0b",
    "high surrogate": "a\ud800",
    "low surrogate": "\udfff",
    "63 units": "x" * 63,
    "64 units": "x" * 64,
    "63 units of astral": ASTRAL * 31 + "x",
    "64 units of astral": ASTRAL * 32,
    "255 units": "x" * 255,
    "256 units": "x" * 256,
    "255 units of astral": ASTRAL * 127 + "x",
    "256 units of astral": ASTRAL * 128,
}
GOOD_TYPES = {"plain", "line end", "escape", "63 units", "63 units of astral"}
GOOD_INFOS = {*GOOD_TYPES, "empty", "64 units", "64 units of astral", "255 units", "255 units of astral"}


def passes(function: Any, *arguments: Any) -> bool:
    try:
        function(*arguments)
    except rsm.InvalidParameterError:
        return False
    return True


@pytest.mark.parametrize("name", TEXTS)
def test_texts_have_the_limits_of_the_catalogue(name: str) -> None:
    text = TEXTS[name]
    assert passes(Label, text, b"1") is passes(check_label_type, text) is (name in GOOD_TYPES)
    assert passes(Label, "t", b"1", text) is passes(check_label_info, text) is (name in GOOD_INFOS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("t", b""),
        ("t", b"x" * 256),
        ("t", bytearray(b"1")),
        ("t", "1"),
        ("t", None),
        (b"t", b"1"),
        (None, b"1"),
        ("t", b"1", b"info"),
        ("t", b"1", None),
    ],
)
def test_what_is_no_label_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(rsm.InvalidParameterError):
        Label(*arguments)


def test_a_label_is_a_plain_value() -> None:
    label = Label("t", b"x" * 255, "i")
    assert pickle.loads(pickle.dumps(label)) == label == Label("t", b"x" * 255, "i")
    assert len({label, Label("t", b"\0"), Label("T", b"\0"), Label("t", b"\0", "i"), Label("t", b"\0")}) == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        label.type = "u"  # type: ignore[misc]
