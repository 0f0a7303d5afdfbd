"""Proves that an installed wheel needs nothing of the checkout: run it in an empty folder with 0001.db beside it.

    python check_wheel.py

Exits with 1 and a line that says what is wrong, or with 0. Only SQLAlchemy and alembic need to be installed with it.
"""

import sys
from pathlib import Path

HERE = Path.cwd()


def demand(truth: object, sentence: str) -> None:
    """End the program unless something is true."""
    if not truth:
        sys.exit(f"check_wheel: {sentence}")


def check_import() -> None:
    """Importing is light, finds no checkout, and every public name is there."""
    import rsm

    demand("sqlalchemy" not in sys.modules, "import rsm imports sqlalchemy")
    demand("alembic" not in sys.modules, "import rsm imports alembic")
    package = Path(rsm.__file__).resolve().parent
    demand(package.parent.name == "site-packages", f"rsm comes from {package}, not from the wheel")
    demand((package / "py.typed").is_file(), "py.typed is missing")
    missing = [name for name in rsm.__all__ if not hasattr(rsm, name)]
    demand(not missing, f"names are missing: {missing}")

    from rsm import schema

    scripts = schema.SCRIPTS.resolve()
    demand(scripts == package / "migrations", f"revisions come from {scripts}, not from the package")
    demand(sorted(scripts.glob("versions/0*.py")), "the revisions are missing")
    demand((scripts / "env.py").is_file(), "migrations/env.py is missing")


def check_new_catalogue() -> None:
    """A catalogue is made, and a pool lives and dies in it."""
    import rsm
    from rsm import schema

    url = f"sqlite:///{HERE / 'new.db'}"
    with rsm.connect(url, application="check_wheel") as session:
        pool = session.pools.create("\\Wheel\\Daily", media_type="LTO-8", parents=True)
        session.media.create(pool, [rsm.NewSide("MTF", b"1")], barcode="A00001L8")
        try:
            session.pools.delete(pool)
        except rsm.NotEmptyError as error:
            demand(error.code == rsm.ErrorCode.ERROR_NOT_EMPTY, f"a pool with media: {error.code!r}")
        else:
            demand(False, "a pool with media could be deleted")
        for medium in session.media.list(pool=pool):
            session.media.delete(medium)
        session.pools.delete(pool)
        demand([each.name for each in session.pools.list("\\Wheel")] == [], "the pool is still there")
    demand(schema.current(url).up_to_date, "a new catalogue is not at the newest revision")
    demand(schema.check(url) == [], f"a new catalogue is not sound: {schema.check(url)}")


def check_saved_catalogue(path: Path) -> None:
    """A catalogue of an earlier revision is upgraded and opens."""
    import rsm
    from rsm import schema

    administrator = rsm.Caller("user:admin", administrator=True)
    revision = schema.upgrade(str(path), administrator)
    demand(revision.up_to_date, f"{path.name} is at revision {revision.number}")
    demand(schema.check(str(path)) == [], f"{path.name} is not sound: {schema.check(str(path))}")
    with rsm.connect(path, caller=administrator) as session:
        demand(session.pools.path("\\Nightly\\Daily") == "\\Nightly\\Daily", f"{path.name} has lost a pool")
        demand(session.media.list(pool="\\Nightly\\Daily"), f"{path.name} has lost its media")


def main() -> None:
    """Run every check."""
    saved = sorted(HERE.glob("0*.db"))
    demand(saved and saved[0].name == "0001.db", f"0001.db is missing in {HERE}")
    check_import()
    check_new_catalogue()
    for path in saved:
        check_saved_catalogue(path)
    demand(not {"typer", "rich", "psycopg"} & set(sys.modules), "it imported what need not be installed")
    print(f"check_wheel: all good, {len(saved)} saved catalogue(s)")


if __name__ == "__main__":
    main()
