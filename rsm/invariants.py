"""What is true of every sound catalogue beyond what the database refuses by itself: a sentence and a query a rule.

A query returns one row for each object that breaks its rule, the object's id first. It is plain SQL that SQLite and
PostgreSQL both understand, and reads one moment. Nothing is mended here: `rsm.schema.check` tells, a person decides.
"""

from collections.abc import Iterator

from rsm import model
from rsm.constants import NtmsDriveState as Drive
from rsm.constants import NtmsLmOperation as Work
from rsm.constants import NtmsLmState as Queue
from rsm.constants import NtmsNotificationOperations, NtmsPoolType
from rsm.constants import NtmsOpreqState as Asked
from rsm.constants import NtmsPartitionState as Side
from rsm.constants import NtmsPortContent as Port
from rsm.constants import NtmsSlotState as Slot

MAXIMUM_NAME, MAXIMUM_PATH = 63, 511
_FREE, _UNRECOGNIZED, _IMPORT = (
    int(NtmsPoolType[f"NTMS_POOLTYPE_{name}"]) for name in ("SCRATCH", "FOREIGN", "IMPORT")
)
_SYSTEM = f"{_FREE}, {_UNRECOGNIZED}, {_IMPORT}"
_HELD = f"{int(Side.NTMS_PARTSTATE_ALLOCATED)}, {int(Side.NTMS_PARTSTATE_COMPLETE)}"
_LIVE = ", ".join(str(int(Queue[f"NTMS_LM_{name}"])) for name in ("QUEUED", "INPROCESS", "WAITING"))
_ASKING = ", ".join(str(int(Asked[f"NTMS_OPSTATE_{name}"])) for name in ("SUBMITTED", "ACTIVE", "INPROGRESS"))
_LAST_ORDER = 0xFFFFFFFF

_POOLS = (
    (
        "a pool holds both pools and media",
        "SELECT p.id FROM media_pool p WHERE EXISTS (SELECT 1 FROM media_pool c WHERE c.parent_id = p.id) AND "
        "EXISTS (SELECT 1 FROM physical_medium m WHERE m.pool_id = p.id)",
    ),
    (
        "a pool of media holds pools",
        "SELECT p.id FROM media_pool p WHERE p.media_type_id IS NOT NULL AND EXISTS (SELECT 1 FROM media_pool "
        "c WHERE c.parent_id = p.id)",
    ),
    (
        "a pool cannot be reached from the root",
        "WITH RECURSIVE reached(id) AS (SELECT id FROM media_pool WHERE parent_id IS NULL UNION SELECT c.id "
        "FROM media_pool c JOIN reached r ON c.parent_id = r.id) SELECT id FROM media_pool WHERE id NOT IN "
        "(SELECT id FROM reached)",
    ),
    (
        "there is not exactly one root pool",
        "SELECT count(*) FROM media_pool WHERE parent_id IS NULL HAVING count(*) <> 1",
    ),
    (
        "there is not one free, one unrecognized and one import pool at the top",
        "SELECT count(*) FROM media_pool c JOIN media_pool r ON c.parent_id = r.id WHERE r.parent_id IS NULL AND "
        f"c.pool_type IN ({_SYSTEM}) HAVING count(*) <> 3 OR count(DISTINCT c.pool_type) <> 3",
    ),
    (
        "a pool is of another kind than the pool it is in",
        "SELECT c.id FROM media_pool c JOIN media_pool p ON c.parent_id = p.id WHERE p.parent_id IS NOT NULL AND "
        "c.pool_type <> p.pool_type",
    ),
    (
        "a system pool has a media type at the top, or none below",
        "SELECT c.id FROM media_pool c JOIN media_pool p ON c.parent_id = p.id WHERE "
        f"c.pool_type IN ({_SYSTEM}) AND (p.parent_id IS NULL) <> (c.media_type_id IS NULL)",
    ),
    (
        "a pool's name is empty or holds a backslash, or its name or path is too long",
        "WITH RECURSIVE paths(id, name, length) AS (SELECT c.id, c.name, length(c.name) + 1 FROM media_pool c JOIN "
        "media_pool r ON c.parent_id = r.id WHERE r.parent_id IS NULL UNION SELECT c.id, c.name, p.length + 1 + "
        "length(c.name) FROM media_pool c JOIN paths p ON c.parent_id = p.id) SELECT id FROM paths WHERE "
        f"length(name) NOT BETWEEN 1 AND {MAXIMUM_NAME} OR length > {MAXIMUM_PATH} OR "
        "length(replace(name, '\\', '')) <> length(name)",
    ),
    (
        "a media type that a library takes lacks a system pool",
        f"SELECT t.media_type_id FROM library_media_type t JOIN media_pool g ON g.pool_type IN ({_SYSTEM}) AND "
        "g.media_type_id IS NULL WHERE NOT EXISTS (SELECT 1 FROM media_pool c WHERE c.parent_id = g.id AND "
        "c.media_type_id = t.media_type_id)",
    ),
)

_MEDIA = (
    (
        "a side is allocated without a logical medium, or the other way round",
        f"SELECT s.id FROM side s LEFT JOIN logical_medium l ON l.side_id = s.id WHERE (s.state IN ({_HELD})) <> "
        "(l.id IS NOT NULL)",
    ),
    (
        "a side in a free or unrecognized pool belongs to an application",
        "SELECT s.id FROM side s JOIN media_pool p ON p.id = s.pool_id WHERE "
        f"p.pool_type IN ({_FREE}, {_UNRECOGNIZED}) AND s.state IN ({_HELD}, {int(Side.NTMS_PARTSTATE_RESERVED)})",
    ),
    (
        "a cartridge has not as many sides as its media type",
        "SELECT m.id FROM physical_medium m JOIN media_type t ON t.id = m.media_type_id WHERE (SELECT "
        "count(*) FROM side s WHERE s.medium_id = m.id) <> CASE m.cleaner WHEN 1 THEN 0 ELSE t.sides END",
    ),
    (
        "the sides of a cartridge are not numbered from 0",
        "SELECT medium_id FROM side GROUP BY medium_id HAVING min(number) <> 0",
    ),
    (
        "a count of a side is below zero",
        "SELECT id FROM side WHERE mount_count < 0 OR allocate_count < 0 OR capacity_bytes < 0",
    ),
)

_PLACES = (
    (
        "there is not exactly one offline library",
        "SELECT count(*) FROM library WHERE online = 0 HAVING count(*) <> 1",
    ),
    (
        "the offline library has devices",
        "SELECT d.id FROM (SELECT id, library_id FROM slot UNION ALL SELECT id, library_id FROM drive UNION ALL "
        "SELECT id, library_id FROM port UNION ALL SELECT id, library_id FROM door UNION ALL SELECT id, library_id "
        "FROM changer) AS d JOIN library l ON l.id = d.library_id WHERE l.online = 0",
    ),
    (
        "a stand-alone library has slots or a changer, or more than one drive",
        f"SELECT l.id FROM library l WHERE l.library_type = {model.STANDALONE} AND "
        "((SELECT count(*) FROM drive d WHERE d.library_id = l.id) > 1 OR EXISTS (SELECT 1 FROM slot s WHERE "
        "s.library_id = l.id) OR EXISTS (SELECT 1 FROM changer c WHERE c.library_id = l.id))",
    ),
    (
        "a cartridge on the shelf is also in an element of a library",
        "SELECT id FROM physical_medium WHERE online = 0 AND (slot_id IS NOT NULL OR drive_id IS NOT NULL OR "
        "port_id IS NOT NULL)",
    ),
    (
        "a cartridge is in a slot, drive or port that is said to be empty",
        "SELECT m.id FROM physical_medium m LEFT JOIN slot s ON s.id = m.slot_id LEFT JOIN drive d ON d.id = "
        f"m.drive_id LEFT JOIN port p ON p.id = m.port_id WHERE s.state = {int(Slot.NTMS_SLOTSTATE_EMPTY)} OR "
        f"d.occupied = 0 OR p.content = {int(Port.NTMS_PORTCONTENT_EMPTY)}",
    ),
    (
        "the home slot of a cartridge is in another library than the cartridge",
        "SELECT m.id FROM physical_medium m JOIN slot s ON s.id = m.home_slot_id WHERE m.online = 1 AND "
        "m.library_id <> s.library_id",
    ),
    (
        "a side is mounted without a mount, or the other way round",
        "SELECT s.id FROM side s LEFT JOIN mount u ON u.side_id = s.id WHERE (s.mounted = 1) <> (u.id IS NOT NULL)",
    ),
    (
        "a side is mounted in another drive than its cartridge is in",
        "SELECT s.id FROM mount u JOIN side s ON s.id = u.side_id JOIN physical_medium m ON m.id = s.medium_id "
        "WHERE m.drive_id IS NULL OR m.drive_id <> u.drive_id",
    ),
    (
        "a drive is dismountable without a deferred dismount",
        f"SELECT d.id FROM drive d WHERE d.state = {int(Drive.NTMS_DRIVESTATE_DISMOUNTABLE)} AND NOT EXISTS (SELECT 1 "
        "FROM mount u WHERE u.drive_id = d.id AND u.dismountable_from IS NOT NULL)",
    ),
)

_WORK = (
    (
        "a library request is in the queue and has ended, or neither",
        f"SELECT id FROM library_request WHERE (state IN ({_LIVE})) <> (completed IS NULL)",
    ),
    (
        "a library request that ended has a place in the queue",
        "SELECT id FROM library_request WHERE completed IS NOT NULL AND order_number <> 0",
    ),
    (
        "two mounts that wait have the same place in the queue",
        "SELECT library_id FROM library_request WHERE completed IS NULL AND "
        f"operation = {int(Work.NTMS_LM_MOUNT)} AND order_number BETWEEN 1 AND {_LAST_ORDER - 1} "
        "GROUP BY library_id, order_number HAVING count(*) > 1",
    ),
    (
        "a step was begun in an epoch that its library has not come to",
        "SELECT t.request_id FROM request_step t JOIN library_request r ON r.id = t.request_id JOIN library l ON "
        "l.id = r.library_id WHERE t.epoch > l.epoch",
    ),
    (
        "an operator request is open and has ended, or neither",
        f"SELECT id FROM operator_request WHERE (state IN ({_ASKING})) <> (completed IS NULL)",
    ),
    (
        "a session that ended still uses a cartridge",
        "SELECT s.id FROM session s JOIN mount u ON u.session_id = s.id WHERE s.closed IS NOT NULL AND "
        "u.dismountable_from IS NULL",
    ),
    (
        "a session that ended still waits for a mount",
        "SELECT s.id FROM session s JOIN library_request r ON r.session_id = s.id WHERE s.closed IS NOT NULL AND "
        f"r.completed IS NULL AND r.operation = {int(Work.NTMS_LM_MOUNT)}",
    ),
    (
        "a session that ended is still told of changes",
        "SELECT s.id FROM session s WHERE s.closed IS NOT NULL AND (EXISTS (SELECT 1 FROM notification_subscriber n "
        "WHERE n.session_id = s.id) OR EXISTS (SELECT 1 FROM ui_destination d WHERE d.session_id = s.id))",
    ),
)

_REST = (
    (
        "there is not exactly one computer",
        "SELECT count(*) FROM computer HAVING count(*) <> 1",
    ),
    (
        "a list of access control entries is numbered with gaps",
        "SELECT object_id FROM access_control_entry GROUP BY object_id HAVING max(position) <> count(*) - 1 "
        "OR min(position) <> 0",
    ),
    (
        "an access control entry names nobody",
        "SELECT object_id FROM access_control_entry WHERE trustee NOT LIKE 'user:_%' AND trustee NOT LIKE 'group:_%' "
        "AND trustee NOT IN ('everyone', 'administrators', 'operators')",
    ),
    (
        "an object is there that the log says was deleted",
        "SELECT o.id FROM object o JOIN (SELECT object_id, max(id) AS id FROM event GROUP BY object_id) AS last ON "
        "last.object_id = o.id JOIN event e ON e.id = last.id AND e.kind = o.kind WHERE "
        f"e.operation = {int(NtmsNotificationOperations.NTMS_OBJ_DELETE)}",
    ),
)


def every_check(*, sqlite: bool) -> Iterator[tuple[str, str]]:
    """Yield every rule as a sentence and the query for what breaks it; `sqlite` adds those a server needs not ask."""
    yield from (*_POOLS, *_MEDIA, *_PLACES, *_WORK, *_REST)
    for kind, table in model.TABLE_OF_KIND.items():
        name = table.__tablename__
        yield (
            f"a row of {name} is registered as another kind",
            f"SELECT t.id FROM {name} t LEFT JOIN object o ON o.id = t.id WHERE coalesce(o.kind, 0) <> {int(kind)}",
        )
        yield (
            f"an id is registered for {name} without a row there",
            f"SELECT o.id FROM object o LEFT JOIN {name} t ON t.id = o.id WHERE o.kind = {int(kind)} AND t.id IS NULL",
        )
    if sqlite:
        yield from _value_checks()


def _value_checks() -> Iterator[tuple[str, str]]:
    """Yield the rules that column types keep on a server: ids of 16 bytes, documents that begin like one."""
    for table in model.Base.metadata.sorted_tables:
        for kind, wrong in ((model.Id, "length({0}) <> 16"), (model.Json, "{0} NOT LIKE '{{%}}'")):
            columns = [column.name for column in table.columns if isinstance(column.type, kind)]
            if columns:
                tests = " OR ".join(wrong.format(name) for name in columns)
                what = "an id" if kind is model.Id else "a document"
                yield f"{what} in {table.name} is malformed", f"SELECT rowid FROM {table.name} WHERE {tests}"
