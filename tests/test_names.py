"""Names and texts: what is well formed comes back byte for byte, on both databases; everything else is refused."""

import random
import sys
import unicodedata

import pytest
from watch import nothing_changed, refused

import rsm
from rsm import labels
from rsm.constants import NtmsObjectsTypes as Kind

ASTRAL = "\U0001f4fc"  # one character, two UTF-16 units
GOOD_NAMES = {
    "plain": "Daily",
    "blanks": " leading and trailing ",
    "one blank": " ",
    "no-break space": "a\u00a0b",
    "only format characters": "\u200b\u200d\ufeff",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "combining only": "\u0301\u0302",
    "right to left": "\u05d2\u05d9\u05d1\u05d5\u05d9 \u0646\u0633\u062e",
    "direction marks": "\u202eabc\u202c",
    "ideographs": "\u5099\u4efd",
    "emoji family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "private use": "\ue000\U000f0000",
    "unassigned": "\u0378",
    "noncharacter": "\uffff",
    "last code point": "\U0010ffff",
    "line separators": "a\u2028b\u2029c",
    "quotes": 'it\'s "quoted" `so`',
    "like pattern": "100%_*?[a-z]",
    "slash and dots": "../etc/./x",
    "parameter": ":id ?1 $1 %s {0}",
    "comment": "--; DROP TABLE pool",
    "hexadecimal": "0123456789abcdef0123456789abcdef",
    "lower": "case",
    "upper": "CASE",
    "dotless": "\u0131I\u0130i",
    "sharp s": "stra\u00dfe",
    "ligature": "\ufb01",
    "63 units": "x" * 63,
    "63 units of astral": ASTRAL * 31 + "x",
}
BAD_NAMES = {
    **{
        f"control {code:#04x}": f"a{chr(code)}b"
        for code in range(sys.maxunicode)
        if unicodedata.category(chr(code)) == "Cc"
    },
    "high surrogate": "a\ud800",
    "low surrogate": "\udfffb",
    "swapped surrogates": "\udc00\ud800",
    "64 units": "x" * 64,
    "64 units of astral": ASTRAL * 32,
    "very long": "x" * 100_000,
    "empty": "",
}
BAD_PATHS = {
    **{name: f"\\{level}" for name, level in BAD_NAMES.items() if level},
    "nothing": "",
    "empty first level": "\\\\a",
    "empty middle level": "\\a\\\\b",
    "empty last level": "\\a\\",
    "bad parent": "\\a\nb\\c",
    "512 units": ("\\" + "x" * 63) * 8,
    "512 units of astral": ("\\" + ASTRAL * 31 + "x") * 8,
}


def sample(count: int) -> list[str]:
    """Return names of one to 20 characters out of all of Unicode, controls, surrogates and the separator left out."""
    chosen = random.Random(20_000)
    legal = [
        chr(code)
        for code in range(1, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) not in ("Cc", "Cs") and code != 0x5C
    ]
    return ["".join(chosen.choices(legal, k=chosen.randrange(1, 21))) for _ in range(count)]


def test_pool_names_come_back_byte_for_byte(session: rsm.Session) -> None:
    names = [*GOOD_NAMES.values(), *sample(100)]
    assert len(set(names)) == len(names)
    made = {}
    with session.transaction():
        for name in names:
            made[name] = session.pools.create(f"\\{name}", description=name)
    listed = {pool.id: pool for pool in session.pools.list()}
    for name, pool in made.items():
        found = listed[pool.id]
        assert found.name.encode() == name.encode() == found.description.encode()
        assert found.path == f"\\{name}"
    for name in GOOD_NAMES.values():
        assert session.pools.get(name).id == session.pools.get(f"\\{name}").id == made[name].id
        assert session.pools.path(made[name]) == f"\\{name}"
        with refused(rsm.AlreadyExistsError):
            session.pools.create(name)
    session.pools.delete("\\" + GOOD_NAMES["lower"])
    assert session.pools.get(GOOD_NAMES["upper"]).id == made["CASE"].id
    assert [pool.name for pool in session.pools.list(recursive=True)] == sorted(
        pool.name for pool in session.pools.list()
    )


def test_every_kind_of_text_comes_back_byte_for_byte(session: rsm.Session) -> None:
    pool = session.pools.create("Pool", media_type="LTO-8")
    for number, name in enumerate(GOOD_NAMES.values()):
        session.types.create(name, description=name)
        side = rsm.NewSide("MTF", name.encode(), label_info=name, name=name, description=name)
        medium = session.media.create(pool, [side], barcode=f"{number}", name=name, description=name)
        assert (medium.name, medium.description) == (name, name)
        (kept,) = session.media.sides(medium)
        assert (kept.name, kept.label_info, kept.label_id) == (name, name, name.encode())
        assert session.types.get(name).name == name
        with session.because(name):
            session.media.update(medium, description="changed")
        assert session.events.list(object_=medium)[-1].reason == name
    for name in [name[:12] for name in GOOD_NAMES.values()]:
        session.objects.set_attribute(Kind.NTMS_MEDIA_POOL, pool, name, name.encode())
        assert session.objects.attribute(Kind.NTMS_MEDIA_POOL, pool, name) == name.encode()


def test_malformed_paths_are_refused(session: rsm.Session, url: str) -> None:
    session.pools.create("a")
    with nothing_changed(url):
        for path in BAD_PATHS.values():
            with refused(rsm.InvalidNameError):
                session.pools.create(path)
            with refused(rsm.InvalidNameError):
                session.pools.create(path, exist_ok=True, parents=True)
            with refused(rsm.InvalidNameError):
                session.pools.get(path)
            with refused(rsm.InvalidMediaPoolError):
                session.pools.delete(path)
            with refused(rsm.InvalidMediaPoolError):
                session.pools.path(path)
        with refused(rsm.InvalidNameError):
            session.pools.create("\\")


def test_malformed_names_are_refused(session: rsm.Session, url: str) -> None:
    pool = session.pools.create("Pool", media_type="LTO-8")
    medium = session.media.create(pool, [rsm.NewSide("MTF", b"1")], barcode="A1")
    (side,) = session.media.sides(medium)
    with nothing_changed(url):
        for name in BAD_NAMES.values():
            with refused(rsm.InvalidNameError):
                session.pools.update(pool, name=name)
            with refused(rsm.InvalidNameError):
                session.types.create(name)
            with refused(rsm.InvalidNameError):
                session.objects.set_attribute(Kind.NTMS_MEDIA_POOL, pool, name, b"1")
            if name:  # a cartridge or side may be nameless
                with refused(rsm.InvalidNameError):
                    session.media.update(medium, name=name)
                with refused(rsm.InvalidNameError):
                    session.objects.update(Kind.NTMS_PARTITION, side, name=name)
                with refused(rsm.InvalidNameError):
                    session.media.create(pool, [rsm.NewSide("MTF", b"1")], name=name)
                with refused(rsm.InvalidNameError):
                    session.media.create(pool, [rsm.NewSide("MTF", b"1", name=name)])
        with refused(rsm.InvalidNameError):
            session.pools.update(pool, name="a\\b")


TEXTS = {"NUL": "a\0b", "surrogate": "\ud800", "long": "x" * 100_000}


@pytest.mark.parametrize(
    ("field", "longest"),
    [("description", 126), ("barcode", 63), ("label_type", 63), ("label_info", 255), ("reason", 126)],
)
def test_texts_have_bounds(
    session: rsm.Session, url: str, field: str, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "is_type_known", lambda _: True)  # there is a plug-in that reads them all
    pool = session.pools.create("Pool", media_type="LTO-8")

    def write(text: str) -> None:
        side = {field: text} if field.startswith("label") else {}
        whole = {field: text} if field in ("description", "barcode") else {}
        with session.because(text if field == "reason" else "test"):
            session.media.create(pool, [rsm.NewSide(**{"label_type": "MTF", "label_id": b"1", **side})], **whole)

    with nothing_changed(url):
        for text in (*TEXTS.values(), "x" * (longest + 1), ASTRAL * (longest // 2 + 1)):
            with refused(rsm.InvalidParameterError):
                write(text)
    write("x" * longest)
    write(ASTRAL * (longest // 2))
    medium = session.media.list()[-1]
    (side,) = session.media.sides(medium)
    event = session.events.list(object_=medium)[-1]
    kept = {**{name: getattr(side, name) for name in ("label_type", "label_info")}, "reason": event.reason}
    assert {**kept, "description": medium.description, "barcode": medium.barcode}[field] == ASTRAL * (longest // 2)


def test_longest_path_and_renames_that_would_exceed_it(session: rsm.Session, url: str) -> None:
    levels = [*["x" * 63] * 7, "y" * 62]
    path = "".join(f"\\{level}" for level in levels)
    assert len(path) == 511
    deepest = session.pools.create(path, parents=True)
    assert session.pools.get(path) == session.pools.get(deepest) == deepest
    assert deepest.path == path
    top = session.pools.get("\\" + "x" * 63)
    with nothing_changed(url):
        for pool, name in [(deepest, "y" * 63), (deepest, ASTRAL * 31 + "y")]:
            with refused(rsm.InvalidNameError):
                session.pools.update(pool, name=name)
    session.pools.update(top, name=ASTRAL * 31)  # 62 units: one to spare
    session.pools.update(deepest, name=ASTRAL * 31 + "y")
    with nothing_changed(url), refused(rsm.InvalidNameError):
        session.pools.update(top, name="x" * 63)
    session.pools.update(top, name=ASTRAL * 30 + "xx")
    assert session.pools.path(deepest) == "\\" + ASTRAL * 30 + "xx" + ("\\" + "x" * 63) * 6 + "\\" + ASTRAL * 31 + "y"


def test_a_name_made_up_for_a_cartridge_is_well_formed(session: rsm.Session) -> None:
    pool = session.pools.create("Pool", media_type="LTO-8")
    for label_info in ("\n\ttext\x7f of\x9f a label\n", ASTRAL * 63, "x" + ASTRAL * 63, "x" * 255, "\x01"):
        made = session.media.create(pool, [rsm.NewSide("MTF", b"1", label_info=label_info)])
        assert session.media.update(made, name=made.name) == made, ascii(label_info)
        (side,) = session.media.sides(made)
        assert side.label_info == label_info
    made = session.media.create(pool, [rsm.NewSide("MTF", b"1")], barcode="A\t1")
    assert session.media.update(made, name=made.name).barcode == "A\t1"
