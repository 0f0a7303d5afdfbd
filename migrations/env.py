"""Run revisions on a connection that the program holds, or on the one that `alembic -x database=URL` names.

Begins and ends no transaction itself: the doorway does, with foreign keys off and checked before COMMIT.
"""

from alembic import context
from sqlalchemy import Connection

from rsm import db, place
from rsm.model import Base


def render_item(kind: str, item: object, _context: object) -> str | bool:
    """Write our column types by their local names; a revision keeps its own copy of what they were."""
    if kind == "type" and type(item).__module__ == "rsm.model":
        return f"{type(item).__name__}()"
    return False


def run(connection: Connection) -> None:
    """Run what alembic was asked for on the connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transactional_ddl=True,
        transaction_per_migration=False,
        render_as_batch=True,
        render_item=render_item,
        compare_type=True,
    )
    context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("revisions need the database itself: SQL scripts are not made")
if (held := context.config.attributes.get("connection")) is not None:
    run(held)
else:
    database = db.acquire(place.parse_url(context.get_x_argument(as_dictionary=True).get("database", "")))
    try:
        with database.migrating() as own:
            run(own)
    finally:
        db.release(database)
