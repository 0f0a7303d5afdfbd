"""A second revision for the tests only: it rebuilds two tables that others refer to, as real ones will have to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = {"media_pool": "colour", "library": "building"}


def _rebuild() -> str:
    """SQLite copies the table to a new one; PostgreSQL alters it."""
    return "always" if op.get_bind().dialect.name == "sqlite" else "never"


def _text() -> sa.types.TypeEngine:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Give pools and libraries one more column, with a value in every row."""
    for table, column in TABLES.items():
        with op.batch_alter_table(table, recreate=_rebuild(), table_kwargs={"sqlite_strict": True}) as batch:
            batch.add_column(sa.Column(column, _text(), nullable=False, server_default="grey"))
        op.execute(f"UPDATE {table} SET {column} = 'of ' || name")


def downgrade() -> None:
    """Undo it."""
    for table, column in TABLES.items():
        with op.batch_alter_table(table, recreate=_rebuild(), table_kwargs={"sqlite_strict": True}) as batch:
            batch.drop_column(column)
