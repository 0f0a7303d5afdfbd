"""The catalogue as it was first laid down.

The column types are this revision's own copies: what the program's types become later does not change it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def Id() -> sa.types.TypeEngine:  # noqa: N802
    return sa.LargeBinary(16).with_variant(postgresql.UUID(), "postgresql")


def Text() -> sa.types.TypeEngine:  # noqa: N802
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def Int() -> sa.types.TypeEngine:  # noqa: N802
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def Flag() -> sa.types.TypeEngine:  # noqa: N802
    return sa.Integer()


Instant = Int


def Json() -> sa.types.TypeEngine:  # noqa: N802
    return sa.Text()


def Bytes() -> sa.types.TypeEngine:  # noqa: N802
    return sa.LargeBinary()


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "catalogue",
        sa.Column("id", Int(), autoincrement=False, nullable=False),
        sa.Column("revision", Int(), nullable=False),
        sa.Column("min_reader", Int(), nullable=False),
        sa.Column("min_writer", Int(), nullable=False),
        sa.Column("access_era", Int(), nullable=False),
        sa.Column("creator", Text(), nullable=False),
        sa.Column("administrators", Text(), nullable=False),
        sa.Column("operators", Text(), nullable=False),
        sa.Column("event_keep_days", Int(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.CheckConstraint("access_era IN (2000, 2003)", name=op.f("ck_catalogue_era")),
        sa.CheckConstraint("id = 1", name=op.f("ck_catalogue_single")),
        sa.PrimaryKeyConstraint("id", name="pk_catalogue"),
        sqlite_strict=True,
    )
    op.create_table(
        "event",
        sa.Column("id", Int(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("operation", Int(), nullable=False),
        sa.Column("kind", Int(), nullable=False),
        sa.Column("object_id", Id(), nullable=False),
        sa.Column("call", Text(), nullable=False),
        sa.Column("user_name", Text(), nullable=False),
        sa.Column("application", Text(), nullable=False),
        sa.Column("session_id", Id(), nullable=False),
        sa.Column("before", Json(), nullable=True),
        sa.Column("after", Json(), nullable=True),
        sa.Column("reason", Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)", name=op.f("ck_event_kind")
        ),
        sa.CheckConstraint("operation IN (1, 2, 3, 4, 5)", name=op.f("ck_event_operation")),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_event_object_id", "event", ["object_id", "id"], unique=False)
    op.create_table(
        "object",
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", Int(), nullable=False),
        sa.CheckConstraint(
            "kind IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)",
            name=op.f("ck_object_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_object"),
        sqlite_strict=True,
    )
    op.create_table(
        "session",
        sa.Column("id", Id(), nullable=False),
        sa.Column("host", Text(), nullable=False),
        sa.Column("boot", Text(), nullable=False),
        sa.Column("lock_name", Text(), nullable=False),
        sa.Column("application", Text(), nullable=False),
        sa.Column("user_name", Text(), nullable=False),
        sa.Column("opened", Instant(), nullable=False),
        sa.Column("closed", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_session_open",
        "session",
        ["id"],
        unique=False,
        sqlite_where=sa.text("closed IS NULL"),
        postgresql_where=sa.text("closed IS NULL"),
    )
    op.create_table(
        "access_control_entry",
        sa.Column("object_id", Id(), nullable=False),
        sa.Column("position", Int(), autoincrement=False, nullable=False),
        sa.Column("allow", Flag(), nullable=False),
        sa.Column("trustee", Text(), nullable=False),
        sa.Column("rights", Int(), nullable=False),
        sa.Column("inherited", Flag(), nullable=False),
        sa.CheckConstraint("allow IN (0, 1)", name=op.f("ck_access_control_entry_allow")),
        sa.CheckConstraint("inherited IN (0, 1)", name=op.f("ck_access_control_entry_inherited")),
        sa.CheckConstraint("rights > 0", name=op.f("ck_access_control_entry_rights")),
        sa.ForeignKeyConstraint(
            ["object_id"], ["object.id"], name="fk_access_control_entry_object_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("object_id", "position", name="pk_access_control_entry"),
        sqlite_strict=True,
    )
    op.create_table(
        "attribute",
        sa.Column("object_id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("value", Bytes(), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["object.id"], name="fk_attribute_object_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("object_id", "name", name="pk_attribute"),
        sqlite_strict=True,
    )
    op.create_table(
        "changer_type",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("vendor", Text(), nullable=False),
        sa.Column("product", Text(), nullable=False),
        sa.Column("device_type", Int(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_changer_type_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_changer_type_operational_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_changer_type_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_changer_type"),
        sa.UniqueConstraint("vendor", "product", name="uq_changer_type_vendor_product"),
        sqlite_strict=True,
    )
    op.create_table(
        "computer",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("owner", Text(), nullable=False),
        sa.Column("library_request_purge_seconds", Int(), nullable=False),
        sa.Column("operator_request_purge_seconds", Int(), nullable=False),
        sa.Column("library_request_flags", Int(), nullable=False),
        sa.Column("operator_request_flags", Int(), nullable=False),
        sa.Column("media_pool_policy", Int(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_computer_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_computer_operational_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_computer_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_computer"),
        sqlite_strict=True,
    )
    op.create_table(
        "device_path",
        sa.Column("device_id", Id(), nullable=False),
        sa.Column("host", Text(), nullable=False),
        sa.Column("path", Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["object.id"], name="fk_device_path_device_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("device_id", "host", name="pk_device_path"),
        sqlite_strict=True,
    )
    op.create_table(
        "drive_type",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("vendor", Text(), nullable=False),
        sa.Column("product", Text(), nullable=False),
        sa.Column("heads", Int(), nullable=False),
        sa.Column("device_type", Int(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_drive_type_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_drive_type_operational_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_drive_type_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_drive_type"),
        sa.UniqueConstraint("vendor", "product", name="uq_drive_type_vendor_product"),
        sqlite_strict=True,
    )
    op.create_table(
        "library",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("owner", Text(), nullable=False),
        sa.Column("library_type", Int(), nullable=False),
        sa.Column("online", Flag(), nullable=False),
        sa.Column("supports_cleaning", Flag(), nullable=False),
        sa.Column("barcode_reader", Flag(), nullable=False),
        sa.Column("inventory_method", Int(), nullable=False),
        sa.Column("cleaner_uses_remaining", Int(), nullable=False),
        sa.Column("auto_recovery", Flag(), nullable=False),
        sa.Column("flags", Int(), nullable=False),
        sa.Column("back_end", Text(), nullable=False),
        sa.Column("address", Text(), nullable=False),
        sa.Column("configuration", Json(), nullable=False),
        sa.Column("epoch", Int(), nullable=False),
        sa.CheckConstraint("(library_type = 1) = (online = 0)", name=op.f("ck_library_offline")),
        sa.CheckConstraint("auto_recovery IN (0, 1)", name=op.f("ck_library_auto_recovery")),
        sa.CheckConstraint("barcode_reader IN (0, 1)", name=op.f("ck_library_barcode_reader")),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_library_enabled")),
        sa.CheckConstraint("inventory_method IN (0, 1, 2, 3, 4, 5, 6)", name=op.f("ck_library_inventory_method")),
        sa.CheckConstraint("library_type IN (0, 1, 2, 3)", name=op.f("ck_library_library_type")),
        sa.CheckConstraint("online IN (0, 1)", name=op.f("ck_library_online")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_library_operational_state")),
        sa.CheckConstraint("supports_cleaning IN (0, 1)", name=op.f("ck_library_supports_cleaning")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_library_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_library"),
        sa.UniqueConstraint("id", "online", name="uq_library_id_online"),
        sa.UniqueConstraint("name", name="uq_library_name"),
        sqlite_strict=True,
    )
    op.create_index(
        "uq_library_offline",
        "library",
        ["online"],
        unique=True,
        sqlite_where=sa.text("online = 0"),
        postgresql_where=sa.text("online = 0"),
    )
    op.create_table(
        "media_type",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("code", Int(), nullable=False),
        sa.Column("sides", Int(), nullable=False),
        sa.Column("read_write", Int(), nullable=False),
        sa.Column("device_type", Int(), nullable=False),
        sa.Column("builtin", Flag(), nullable=False),
        sa.CheckConstraint("builtin IN (0, 1)", name=op.f("ck_media_type_builtin")),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_media_type_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_media_type_operational_state")),
        sa.CheckConstraint("read_write IN (0, 1, 2, 3)", name=op.f("ck_media_type_read_write")),
        sa.CheckConstraint("sides BETWEEN 1 AND 2", name=op.f("ck_media_type_sides")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_media_type_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_media_type"),
        sa.UniqueConstraint("code", name="uq_media_type_code"),
        sa.UniqueConstraint("name", name="uq_media_type_name"),
        sqlite_strict=True,
    )
    op.create_table(
        "notification_subscriber",
        sa.Column("id", Id(), nullable=False),
        sa.Column("session_id", Id(), nullable=False),
        sa.Column("kind", Int(), nullable=False),
        sa.Column("last_event_id", Int(), nullable=False),
        sa.Column("opened", Instant(), nullable=False),
        sa.CheckConstraint(
            "kind IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)",
            name=op.f("ck_notification_subscriber_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name="fk_notification_subscriber_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notification_subscriber"),
        sqlite_strict=True,
    )
    op.create_index("ix_notification_subscriber_session_id", "notification_subscriber", ["session_id"], unique=False)
    op.create_table(
        "ui_destination",
        sa.Column("id", Id(), nullable=False),
        sa.Column("object_id", Id(), nullable=True),
        sa.Column("session_id", Id(), nullable=True),
        sa.Column("ui_type", Int(), nullable=False),
        sa.Column("destination", Text(), nullable=False),
        sa.CheckConstraint(
            "(object_id IS NULL) <> (session_id IS NULL)", name=op.f("ck_ui_destination_object_or_session")
        ),
        sa.CheckConstraint("ui_type IN (0, 1, 2, 3, 4)", name=op.f("ck_ui_destination_ui_type")),
        sa.ForeignKeyConstraint(["object_id"], ["object.id"], name="fk_ui_destination_object_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name="fk_ui_destination_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_ui_destination"),
        sa.UniqueConstraint(
            "object_id", "ui_type", "destination", name="uq_ui_destination_object_id_ui_type_destination"
        ),
        sa.UniqueConstraint(
            "session_id", "ui_type", "destination", name="uq_ui_destination_session_id_ui_type_destination"
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "changer",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("changer_type_id", Id(), nullable=False),
        sa.Column("number", Int(), nullable=False),
        sa.Column("element", Int(), nullable=True),
        sa.Column("serial_number", Text(), nullable=False),
        sa.Column("revision", Text(), nullable=False),
        sa.Column("scsi_port", Int(), nullable=False),
        sa.Column("scsi_bus", Int(), nullable=False),
        sa.Column("scsi_target", Int(), nullable=False),
        sa.Column("scsi_lun", Int(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_changer_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_changer_operational_state")),
        sa.ForeignKeyConstraint(
            ["changer_type_id"], ["changer_type.id"], name="fk_changer_changer_type_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_changer_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"], name="fk_changer_library_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_changer"),
        sa.UniqueConstraint("library_id", "number", name="uq_changer_library_id_number"),
        sqlite_strict=True,
    )
    op.create_index("ix_changer_changer_type_id", "changer", ["changer_type_id"], unique=False)
    op.create_table(
        "door",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("number", Int(), nullable=False),
        sa.Column("state", Int(), nullable=False),
        sa.Column("max_open_seconds", Int(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_door_enabled")),
        sa.CheckConstraint("max_open_seconds BETWEEN 0 AND 65535", name=op.f("ck_door_max_open_seconds")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_door_operational_state")),
        sa.CheckConstraint("state IN (0, 1, 2)", name=op.f("ck_door_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_door_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"], name="fk_door_library_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_door"),
        sa.UniqueConstraint("library_id", "number", name="uq_door_library_id_number"),
        sqlite_strict=True,
    )
    op.create_table(
        "drive",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("drive_type_id", Id(), nullable=False),
        sa.Column("number", Int(), nullable=False),
        sa.Column("element", Int(), nullable=True),
        sa.Column("state", Int(), nullable=False),
        sa.Column("occupied", Flag(), nullable=False),
        sa.Column("mount_count", Int(), nullable=False),
        sa.Column("last_cleaned", Instant(), nullable=True),
        sa.Column("defer_dismount_seconds", Int(), nullable=False),
        sa.Column("serial_number", Text(), nullable=False),
        sa.Column("revision", Text(), nullable=False),
        sa.Column("scsi_port", Int(), nullable=False),
        sa.Column("scsi_bus", Int(), nullable=False),
        sa.Column("scsi_target", Int(), nullable=False),
        sa.Column("scsi_lun", Int(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_drive_enabled")),
        sa.CheckConstraint("occupied IN (0, 1)", name=op.f("ck_drive_occupied")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_drive_operational_state")),
        sa.CheckConstraint("state IN (0, 1, 2, 5, 6, 7)", name=op.f("ck_drive_state")),
        sa.ForeignKeyConstraint(
            ["drive_type_id"], ["drive_type.id"], name="fk_drive_drive_type_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_drive_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"], name="fk_drive_library_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_drive"),
        sa.UniqueConstraint("id", "library_id", name="uq_drive_id_library_id"),
        sa.UniqueConstraint("library_id", "number", name="uq_drive_library_id_number"),
        sqlite_strict=True,
    )
    op.create_index("ix_drive_drive_type_id", "drive", ["drive_type_id"], unique=False)
    op.create_table(
        "drive_type_media_type",
        sa.Column("drive_type_id", Id(), nullable=False),
        sa.Column("media_type_id", Id(), nullable=False),
        sa.Column("reads", Flag(), nullable=False),
        sa.Column("writes", Flag(), nullable=False),
        sa.Column("protected_only", Flag(), nullable=False),
        sa.CheckConstraint("protected_only IN (0, 1)", name=op.f("ck_drive_type_media_type_protected_only")),
        sa.CheckConstraint("reads IN (0, 1)", name=op.f("ck_drive_type_media_type_reads")),
        sa.CheckConstraint("writes IN (0, 1)", name=op.f("ck_drive_type_media_type_writes")),
        sa.ForeignKeyConstraint(
            ["drive_type_id"], ["drive_type.id"], name="fk_drive_type_media_type_drive_type_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["media_type_id"], ["media_type.id"], name="fk_drive_type_media_type_media_type_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("drive_type_id", "media_type_id", name="pk_drive_type_media_type"),
        sqlite_strict=True,
    )
    op.create_index("ix_drive_type_media_type_media_type_id", "drive_type_media_type", ["media_type_id"], unique=False)
    op.create_table(
        "library_media_type",
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("media_type_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"], ["library.id"], name="fk_library_media_type_library_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["media_type_id"], ["media_type.id"], name="fk_library_media_type_media_type_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("library_id", "media_type_id", name="pk_library_media_type"),
        sqlite_strict=True,
    )
    op.create_index("ix_library_media_type_media_type_id", "library_media_type", ["media_type_id"], unique=False)
    op.create_table(
        "library_request",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("session_id", Id(), nullable=True),
        sa.Column("operation", Int(), nullable=False),
        sa.Column("operation_option", Int(), nullable=False),
        sa.Column("state", Int(), nullable=False),
        sa.Column("order_number", Int(), nullable=False),
        sa.Column("priority", Int(), nullable=False),
        sa.Column("side_id", Id(), nullable=True),
        sa.Column("drive_id", Id(), nullable=True),
        sa.Column("medium_id", Id(), nullable=True),
        sa.Column("slot_id", Id(), nullable=True),
        sa.Column("work_item_id", Id(), nullable=True),
        sa.Column("queued", Instant(), nullable=False),
        sa.Column("due", Instant(), nullable=True),
        sa.Column("expires", Instant(), nullable=True),
        sa.Column("completed", Instant(), nullable=True),
        sa.Column("application", Text(), nullable=False),
        sa.Column("user_name", Text(), nullable=False),
        sa.Column("computer_name", Text(), nullable=False),
        sa.Column("error_code", Int(), nullable=False),
        sa.Column("epoch", Int(), nullable=False),
        sa.Column("details", Json(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_library_request_enabled")),
        sa.CheckConstraint(
            "operation IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22)",
            name=op.f("ck_library_request_operation"),
        ),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_library_request_operational_state")),
        sa.CheckConstraint("state IN (0, 1, 2, 3, 4, 5, 6, 7, 8)", name=op.f("ck_library_request_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_library_request_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["library_id"], ["library.id"], name="fk_library_request_library_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name="fk_library_request_session_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_library_request"),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_library_request_ended",
        "library_request",
        ["completed"],
        unique=False,
        sqlite_where=sa.text("completed IS NOT NULL"),
        postgresql_where=sa.text("completed IS NOT NULL"),
    )
    op.create_index(
        "ix_library_request_queue", "library_request", ["library_id", "state", "order_number"], unique=False
    )
    op.create_index("ix_library_request_session_id", "library_request", ["session_id"], unique=False)
    op.create_table(
        "media_pool",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("owner", Text(), nullable=False),
        sa.Column("parent_id", Id(), nullable=True),
        sa.Column("pool_type", Int(), nullable=False),
        sa.Column("media_type_id", Id(), nullable=True),
        sa.Column("allocation_policy", Int(), nullable=False),
        sa.Column("deallocation_policy", Int(), nullable=False),
        sa.Column("max_allocates", Int(), nullable=False),
        sa.CheckConstraint(
            "(parent_id IS NULL) = (pool_type = 0)", name=op.f("ck_media_pool_only_the_root_has_no_parent")
        ),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_media_pool_enabled")),
        sa.CheckConstraint("max_allocates >= 0", name=op.f("ck_media_pool_max_allocates")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_media_pool_operational_state")),
        sa.CheckConstraint("pool_type IN (0, 1, 2, 3, 1000)", name=op.f("ck_media_pool_pool_type")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_media_pool_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["media_type_id"], ["media_type.id"], name="fk_media_pool_media_type_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["media_pool.id"], name="fk_media_pool_parent_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_media_pool"),
        sa.UniqueConstraint("id", "media_type_id", name="uq_media_pool_id_media_type_id"),
        sa.UniqueConstraint("parent_id", "name", name="uq_media_pool_parent_id_name"),
        sqlite_strict=True,
    )
    op.create_index("ix_media_pool_media_type_id", "media_pool", ["media_type_id"], unique=False)
    op.create_index(
        "uq_media_pool_root",
        "media_pool",
        ["pool_type"],
        unique=True,
        sqlite_where=sa.text("parent_id IS NULL"),
        postgresql_where=sa.text("parent_id IS NULL"),
    )
    op.create_table(
        "port",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("number", Int(), nullable=False),
        sa.Column("element", Int(), nullable=True),
        sa.Column("content", Int(), nullable=False),
        sa.Column("position", Int(), nullable=False),
        sa.Column("max_extend_seconds", Int(), nullable=False),
        sa.CheckConstraint("content IN (0, 1, 2)", name=op.f("ck_port_content")),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_port_enabled")),
        sa.CheckConstraint("max_extend_seconds BETWEEN 0 AND 65535", name=op.f("ck_port_max_extend_seconds")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_port_operational_state")),
        sa.CheckConstraint("position IN (0, 1, 2)", name=op.f("ck_port_position")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_port_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"], name="fk_port_library_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_port"),
        sa.UniqueConstraint("id", "library_id", name="uq_port_id_library_id"),
        sa.UniqueConstraint("library_id", "number", name="uq_port_library_id_number"),
        sqlite_strict=True,
    )
    op.create_table(
        "slot",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("number", Int(), nullable=False),
        sa.Column("element", Int(), nullable=True),
        sa.Column("state", Int(), nullable=False),
        sa.Column("cleaner", Flag(), nullable=False),
        sa.Column("cleaner_default", Flag(), nullable=False),
        sa.CheckConstraint("cleaner IN (0, 1)", name=op.f("ck_slot_cleaner")),
        sa.CheckConstraint("cleaner_default IN (0, 1)", name=op.f("ck_slot_cleaner_default")),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_slot_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_slot_operational_state")),
        sa.CheckConstraint("state IN (0, 1, 2, 3, 4)", name=op.f("ck_slot_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_slot_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"], name="fk_slot_library_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_slot"),
        sa.UniqueConstraint("id", "library_id", name="uq_slot_id_library_id"),
        sa.UniqueConstraint("library_id", "number", name="uq_slot_library_id_number"),
        sqlite_strict=True,
    )
    op.create_index(
        "uq_slot_cleaner",
        "slot",
        ["library_id"],
        unique=True,
        sqlite_where=sa.text("cleaner = 1"),
        postgresql_where=sa.text("cleaner = 1"),
    )
    op.create_index(
        "uq_slot_cleaner_default",
        "slot",
        ["library_id"],
        unique=True,
        sqlite_where=sa.text("cleaner_default = 1"),
        postgresql_where=sa.text("cleaner_default = 1"),
    )
    op.create_table(
        "operator_request",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("session_id", Id(), nullable=True),
        sa.Column("library_request_id", Id(), nullable=True),
        sa.Column("request", Int(), nullable=False),
        sa.Column("state", Int(), nullable=False),
        sa.Column("submitted", Instant(), nullable=False),
        sa.Column("completed", Instant(), nullable=True),
        sa.Column("message", Text(), nullable=False),
        sa.Column("argument1_kind", Int(), nullable=False),
        sa.Column("argument1_id", Id(), nullable=True),
        sa.Column("argument2_kind", Int(), nullable=False),
        sa.Column("argument2_id", Id(), nullable=True),
        sa.Column("application", Text(), nullable=False),
        sa.Column("user_name", Text(), nullable=False),
        sa.Column("computer_name", Text(), nullable=False),
        sa.CheckConstraint(
            "argument1_kind IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)",
            name=op.f("ck_operator_request_argument1_kind"),
        ),
        sa.CheckConstraint(
            "argument2_kind IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)",
            name=op.f("ck_operator_request_argument2_kind"),
        ),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_operator_request_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_operator_request_operational_state")),
        sa.CheckConstraint("request IN (0, 1, 2, 3, 4, 5)", name=op.f("ck_operator_request_request")),
        sa.CheckConstraint("state IN (0, 1, 2, 3, 4, 5)", name=op.f("ck_operator_request_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_operator_request_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["library_request_id"],
            ["library_request.id"],
            name="fk_operator_request_library_request_id",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name="fk_operator_request_session_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_operator_request"),
        sqlite_strict=True,
    )
    op.create_index("ix_operator_request_library_request_id", "operator_request", ["library_request_id"], unique=False)
    op.create_index("ix_operator_request_session_id", "operator_request", ["session_id"], unique=False)
    op.create_index("ix_operator_request_state", "operator_request", ["state", "submitted"], unique=False)
    op.create_table(
        "physical_medium",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("pool_id", Id(), nullable=False),
        sa.Column("media_type_id", Id(), nullable=False),
        sa.Column("library_id", Id(), nullable=False),
        sa.Column("online", Flag(), nullable=False),
        sa.Column("slot_id", Id(), nullable=True),
        sa.Column("drive_id", Id(), nullable=True),
        sa.Column("port_id", Id(), nullable=True),
        sa.Column("home_slot_id", Id(), nullable=True),
        sa.Column("barcode", Text(), nullable=False),
        sa.Column("barcode_state", Int(), nullable=False),
        sa.Column("sequence_number", Int(), nullable=False),
        sa.Column("media_state", Int(), nullable=False),
        sa.Column("medium_type_code", Int(), nullable=False),
        sa.Column("density_code", Int(), nullable=False),
        sa.Column("cleaner", Flag(), nullable=False),
        sa.CheckConstraint("barcode_state IN (1, 2)", name=op.f("ck_physical_medium_barcode_state")),
        sa.CheckConstraint("cleaner IN (0, 1)", name=op.f("ck_physical_medium_cleaner")),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_physical_medium_enabled")),
        sa.CheckConstraint("media_state IN (0, 1, 2, 3, 4, 5, 6)", name=op.f("ck_physical_medium_media_state")),
        sa.CheckConstraint("online IN (0, 1)", name=op.f("ck_physical_medium_online")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_physical_medium_operational_state")),
        sa.CheckConstraint(
            "slot_id IS NULL AND (drive_id IS NULL OR port_id IS NULL) OR drive_id IS NULL AND port_id IS NULL",
            name=op.f("ck_physical_medium_one_place"),
        ),
        sa.ForeignKeyConstraint(
            ["drive_id", "library_id"],
            ["drive.id", "drive.library_id"],
            name="fk_physical_medium_drive_id_library_id",
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["home_slot_id"], ["slot.id"], name="fk_physical_medium_home_slot_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_physical_medium_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["library_id", "online"],
            ["library.id", "library.online"],
            name="fk_physical_medium_library_id_online",
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["media_type_id"], ["media_type.id"], name="fk_physical_medium_media_type_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["pool_id", "media_type_id"],
            ["media_pool.id", "media_pool.media_type_id"],
            name="fk_physical_medium_pool_id_media_type_id",
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["port_id", "library_id"],
            ["port.id", "port.library_id"],
            name="fk_physical_medium_port_id_library_id",
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["slot_id", "library_id"],
            ["slot.id", "slot.library_id"],
            name="fk_physical_medium_slot_id_library_id",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_physical_medium"),
        sa.UniqueConstraint("drive_id", name="uq_physical_medium_drive_id"),
        sa.UniqueConstraint("id", "pool_id", "online", name="uq_physical_medium_id_pool_id_online"),
        sa.UniqueConstraint("port_id", name="uq_physical_medium_port_id"),
        sa.UniqueConstraint("sequence_number", name="uq_physical_medium_sequence_number"),
        sa.UniqueConstraint("slot_id", name="uq_physical_medium_slot_id"),
        sqlite_strict=True,
    )
    op.create_index("ix_physical_medium_barcode", "physical_medium", ["barcode"], unique=False)
    op.create_index("ix_physical_medium_home_slot_id", "physical_medium", ["home_slot_id"], unique=False)
    op.create_index("ix_physical_medium_library_id", "physical_medium", ["library_id", "id"], unique=False)
    op.create_index(
        "ix_physical_medium_media_type_id", "physical_medium", ["media_type_id", "library_id"], unique=False
    )
    op.create_index("ix_physical_medium_name", "physical_medium", ["name"], unique=False)
    op.create_index("ix_physical_medium_pool_id", "physical_medium", ["pool_id", "id"], unique=False)
    op.create_table(
        "request_step",
        sa.Column("request_id", Id(), nullable=False),
        sa.Column("number", Int(), autoincrement=False, nullable=False),
        sa.Column("work", Text(), nullable=False),
        sa.Column("action", Text(), nullable=False),
        sa.Column("state", Int(), nullable=False),
        sa.Column("epoch", Int(), nullable=False),
        sa.Column("source_element", Int(), nullable=True),
        sa.Column("destination_element", Int(), nullable=True),
        sa.Column("due", Instant(), nullable=True),
        sa.Column("started", Instant(), nullable=True),
        sa.Column("completed", Instant(), nullable=True),
        sa.Column("error_code", Int(), nullable=False),
        sa.Column("details", Json(), nullable=False),
        sa.CheckConstraint("work IN ('robot', 'drive')", name=op.f("ck_request_step_work")),
        sa.CheckConstraint("state IN (0, 1, 2, 3, 4, 5, 6, 7, 8)", name=op.f("ck_request_step_state")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["library_request.id"], name="fk_request_step_request_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("request_id", "number", name="pk_request_step"),
        sqlite_strict=True,
    )
    op.create_table(
        "side",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("medium_id", Id(), nullable=False),
        sa.Column("pool_id", Id(), nullable=False),
        sa.Column("online", Flag(), nullable=False),
        sa.Column("number", Int(), nullable=False),
        sa.Column("state", Int(), nullable=False),
        sa.Column("mounted", Flag(), nullable=False),
        sa.Column("label_type", Text(), nullable=False),
        sa.Column("label_id", Bytes(), nullable=False),
        sa.Column("label_info", Text(), nullable=False),
        sa.Column("label_written_by_us", Flag(), nullable=False),
        sa.Column("mount_count", Int(), nullable=False),
        sa.Column("allocate_count", Int(), nullable=False),
        sa.Column("capacity_bytes", Int(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_side_enabled")),
        sa.CheckConstraint("label_written_by_us IN (0, 1)", name=op.f("ck_side_label_written_by_us")),
        sa.CheckConstraint("mounted IN (0, 1)", name=op.f("ck_side_mounted")),
        sa.CheckConstraint("number BETWEEN 0 AND 1", name=op.f("ck_side_number")),
        sa.CheckConstraint("online IN (0, 1)", name=op.f("ck_side_online")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_side_operational_state")),
        sa.CheckConstraint("state IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)", name=op.f("ck_side_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_side_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["medium_id", "pool_id", "online"],
            ["physical_medium.id", "physical_medium.pool_id", "physical_medium.online"],
            name="fk_side_medium_id_pool_id_online",
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_side"),
        sa.UniqueConstraint("medium_id", "number", name="uq_side_medium_id_number"),
        sqlite_strict=True,
    )
    op.create_index("ix_side_label", "side", ["label_type", "label_id"], unique=False)
    op.create_index("ix_side_medium_id", "side", ["medium_id", "pool_id", "online"], unique=False)
    op.create_index(
        "ix_side_pick",
        "side",
        ["pool_id", "mounted", "online", "id"],
        unique=False,
        sqlite_where=sa.text("state = 4 AND enabled = 1"),
        postgresql_where=sa.text("state = 4 AND enabled = 1"),
    )
    op.create_index("ix_side_pool_id", "side", ["pool_id", "id"], unique=False)
    op.create_index(
        "uq_side_mounted",
        "side",
        ["medium_id"],
        unique=True,
        sqlite_where=sa.text("mounted = 1"),
        postgresql_where=sa.text("mounted = 1"),
    )
    op.create_table(
        "logical_medium",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("enabled", Flag(), nullable=False),
        sa.Column("operational_state", Int(), nullable=False),
        sa.Column("side_id", Id(), nullable=False),
        sa.Column("application", Text(), nullable=False),
        sa.Column("user_name", Text(), nullable=False),
        sa.CheckConstraint("enabled IN (0, 1)", name=op.f("ck_logical_medium_enabled")),
        sa.CheckConstraint("operational_state IN (0, 10, 20, 21)", name=op.f("ck_logical_medium_operational_state")),
        sa.ForeignKeyConstraint(["id"], ["object.id"], name="fk_logical_medium_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["side_id"], ["side.id"], name="fk_logical_medium_side_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_logical_medium"),
        sa.UniqueConstraint("side_id", name="uq_logical_medium_side_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "mount",
        sa.Column("id", Id(), nullable=False),
        sa.Column("side_id", Id(), nullable=False),
        sa.Column("drive_id", Id(), nullable=False),
        sa.Column("session_id", Id(), nullable=True),
        sa.Column("request_id", Id(), nullable=True),
        sa.Column("for_writing", Flag(), nullable=False),
        sa.Column("mounted", Instant(), nullable=False),
        sa.Column("dismountable_from", Instant(), nullable=True),
        sa.CheckConstraint("for_writing IN (0, 1)", name=op.f("ck_mount_for_writing")),
        sa.ForeignKeyConstraint(["drive_id"], ["drive.id"], name="fk_mount_drive_id", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["request_id"], ["library_request.id"], name="fk_mount_request_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name="fk_mount_session_id", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["side_id"], ["side.id"], name="fk_mount_side_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_mount"),
        sa.UniqueConstraint("drive_id", name="uq_mount_drive_id"),
        sa.UniqueConstraint("side_id", name="uq_mount_side_id"),
        sqlite_strict=True,
    )
    op.create_index("ix_mount_request_id", "mount", ["request_id"], unique=False)
    op.create_index("ix_mount_session_id", "mount", ["session_id"], unique=False)


def downgrade() -> None:
    """Drop every table."""
    for table in (
        "mount",
        "logical_medium",
        "side",
        "request_step",
        "physical_medium",
        "operator_request",
        "slot",
        "port",
        "media_pool",
        "library_request",
        "library_media_type",
        "drive_type_media_type",
        "drive",
        "door",
        "changer",
        "ui_destination",
        "notification_subscriber",
        "media_type",
        "library",
        "drive_type",
        "device_path",
        "computer",
        "changer_type",
        "attribute",
        "access_control_entry",
        "session",
        "object",
        "event",
        "catalogue",
    ):
        op.drop_table(table)
