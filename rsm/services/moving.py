"""Moving cartridges between pools, and changing their media type.

It touches records only: no robot, no drive. A cartridge that enters the free pool has its sides UNPREPARED, which is
the list of work for whoever writes free labels.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, update

from rsm.constants import NtmsMediaState, NtmsPartitionState, NtmsPoolType
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import BusyError, InvalidMediaError, InvalidMediaPoolError, InvalidStateError, MediaIncompatibleError
from rsm.model import Id, Instant, Int, PhysicalMedium, Side
from rsm.security import AccessEra, AccessRights, Caller, need
from rsm.services import access, events, queue
from rsm.services.media import SIDES, TAKEN, TYPE, get_medium
from rsm.services.objects import Reference
from rsm.services.pools import Pool, delete_unused_system_pools, get_pool, look_up

State = NtmsPartitionState
_FREE, _FOREIGN, _IMPORT = (
    NtmsPoolType.NTMS_POOLTYPE_SCRATCH,
    NtmsPoolType.NTMS_POOLTYPE_FOREIGN,
    NtmsPoolType.NTMS_POOLTYPE_IMPORT,
)
# What lies on a side that is unknown nobody has looked at yet: a free label might destroy it.
_NEVER_FREE = {
    *TAKEN,
    State.NTMS_PARTSTATE_DECOMMISSIONED,
    State.NTMS_PARTSTATE_INCOMPATIBLE,
    State.NTMS_PARTSTATE_UNKNOWN,
}
_ID = bindparam("id", type_=Id())
_MOVE = (
    update(PhysicalMedium)
    .where(PhysicalMedium.id == _ID)
    .values(
        pool_id=bindparam("new_pool", type_=Id()),
        media_type_id=bindparam("new_type", type_=Id()),
        modified=bindparam("new_modified", type_=Instant()),
    )
)
_SET_STATE = (
    update(Side)
    .where(Side.medium_id == _ID, Side.state != bindparam("new_state", type_=Int()))
    .values(state=bindparam("new_state", type_=Int()), modified=bindparam("new_modified", type_=Instant()))
)


def move_medium(transaction: Transaction, caller: Caller, reference: Reference, pool: Reference) -> None:
    """Move a cartridge, all sides, to another pool of its media type (MoveToNtmsMediaPool; MS-RSMP 3.2.5.2.2.13).

    Raises:
        InvalidMediaError: there is no such cartridge, or the pool it is in is gone.
        InvalidMediaPoolError: there is no such destination.
        AccessDeniedError: a right on source or destination is missing (a free pool needs use only, in the 2003 era).
        InvalidMediaPoolError: it is a cleaner, the destination is the root, or both are free pools.
        BusyError: a side is in use, or not available now.
        MediaIncompatibleError: the destination holds another media type, or pools.
        InvalidMediaPoolError: the destination is an unrecognized pool, an import pool and a side is not IMPORT, or not
            a free pool although the cartridge comes from import or unrecognized.
        InvalidStateError: the destination is a free pool and a side is taken, decommissioned, incompatible, or unknown:
            not identified yet.
    """
    medium = get_medium(transaction, reference)
    source = look_up(transaction, medium.pool_id)
    if source is None:
        raise InvalidMediaError(f"the pool that cartridge {medium.name!a} is in is not on record: run rsm db check")
    target = get_pool(transaction, pool)
    _check_move_rights(transaction, caller, source, target)
    _check_target(medium, source, target)
    if source.id == target.id:
        return
    sides = transaction.rows(SIDES, id=medium.id)
    _check_at_rest(medium, source, sides)
    if target.media_type_id != medium.media_type_id:
        raise MediaIncompatibleError(f"{target.path} does not take the media type of cartridge {medium.name!a}")
    _check_states(medium, source, target, sides)
    relocate(transaction, "MoveToNtmsMediaPool", medium, target, sides)


def change_media_type(transaction: Transaction, caller: Caller, reference: Reference, pool: Reference) -> None:
    """Move a cartridge to a pool and give it that pool's media type (ChangeNtmsMediaType; MS-RSMP 3.2.5.2.2.17).

    Raises:
        InvalidMediaError: there is no such cartridge, or the pool it is in is gone.
        InvalidMediaPoolError: there is no such destination, or it holds pools.
        AccessDeniedError: modify on the source pool (2003 era: and on the computer) is missing.
        InvalidMediaPoolError: the destination's media type has another number of sides, or `move_medium` would refuse.
    """
    medium = get_medium(transaction, reference)
    source = look_up(transaction, medium.pool_id)
    if source is None:
        raise InvalidMediaError(f"the pool that cartridge {medium.name!a} is in is not on record: run rsm db check")
    target = get_pool(transaction, pool)
    needed = need("ChangeNtmsMediaType", transaction.policy.access_era)
    access.demand(transaction, caller, needed.pool, source.guard, f"pool {source.path}")
    access.require_computer(transaction, caller, needed.computer)
    _check_target(medium, source, target)
    if target.media_type_id is None:
        raise InvalidMediaPoolError(f"{target.path} holds pools and takes no media")
    if source.id == target.id:
        return
    sides = transaction.rows(SIDES, id=medium.id)
    if transaction.one(TYPE, "the media type of a pool", id=target.media_type_id).sides != len(sides):
        raise InvalidMediaPoolError(f"the media type of {target.path} has another number of sides")
    try:
        _check_at_rest(medium, source, sides)
        _check_states(medium, source, target, sides)
    except (BusyError, InvalidStateError) as error:  # the call has one code for a move that is not allowed
        raise InvalidMediaPoolError(str(error)) from None
    relocate(transaction, "ChangeNtmsMediaType", medium, target, sides)
    delete_unused_system_pools(transaction, "ChangeNtmsMediaType", medium.media_type_id)


def _check_move_rights(transaction: Transaction, caller: Caller, source: Pool, target: Pool) -> None:
    rights = need("MoveToNtmsMediaPool", transaction.policy.access_era).pool
    for pool in (source, target):
        free = pool.pool_type is _FREE and transaction.policy.access_era is AccessEra.SERVER_2003
        access.demand(transaction, caller, AccessRights.USE if free else rights, pool.guard, f"pool {pool.path}")


def _check_target(medium: Any, source: Pool, target: Pool) -> None:
    if medium.cleaner:
        raise InvalidMediaPoolError(f"cartridge {medium.name!a} is a cleaner: it stays in {source.path}")
    if target.pool_type is NtmsPoolType.NTMS_POOLTYPE_UNKNOWN:
        raise InvalidMediaPoolError("the root pool holds no media")
    if source.pool_type is _FREE and target.pool_type is _FREE:
        raise InvalidMediaPoolError("a cartridge of a free pool cannot be moved to a free pool")


_AT_REST = (NtmsMediaState.NTMS_MEDIASTATE_IDLE, NtmsMediaState.NTMS_MEDIASTATE_UNLOADED)


def _check_at_rest(medium: Any, source: Pool, sides: Sequence[Any]) -> None:
    if medium.is_in_use:
        raise BusyError(f"cartridge {medium.name!a} is in use: dismount it first")
    if medium.media_state not in _AT_REST:
        raise BusyError(f"cartridge {medium.name!a} is not in its slot: try again when it is there")
    if source.pool_type is _FREE and any(side.state == State.NTMS_PARTSTATE_UNPREPARED for side in sides):
        raise BusyError(f"cartridge {medium.name!a} has no free label yet: it can be moved once one is written")


def _check_states(medium: Any, source: Pool, target: Pool, sides: Sequence[Any]) -> None:
    states = {side.state for side in sides}
    if target.pool_type is _FOREIGN:
        raise InvalidMediaPoolError(f"nothing can be moved to {target.path}")
    if target.pool_type is _IMPORT and states != {State.NTMS_PARTSTATE_IMPORT}:
        raise InvalidMediaPoolError(f"{target.path} takes only cartridges whose sides are all in the state IMPORT")
    if source.pool_type in (_FOREIGN, _IMPORT) and target.pool_type is not _FREE:
        raise InvalidMediaPoolError(f"from {source.path} a cartridge can be moved to the free pool only, or allocated")
    if target.pool_type is _FREE and (blocking := states & _NEVER_FREE):
        names = ", ".join(sorted(State(state).name.removeprefix("NTMS_PARTSTATE_") for state in blocking))
        raise InvalidStateError(f"cartridge {medium.name!a} has a side that is {names}: it cannot become free")


def relocate(transaction: Transaction, call: str, medium: Any, target: Pool, sides: Sequence[Any]) -> None:
    """Write down that a cartridge is in another pool; in a free pool its sides await free labels, which are queued.

    `medium` is a row with id, pool_id and media_type_id, `sides` are rows with id and state. Nothing is checked.
    """
    new_type = target.media_type_id
    transaction.change(_MOVE, id=medium.id, new_pool=target.id, new_type=new_type, new_modified=transaction.now)
    before = {"pool_id": medium.pool_id}
    after: dict[str, Any] = {"pool_id": target.id}
    if new_type != medium.media_type_id:
        before["media_type_id"], after["media_type_id"] = medium.media_type_id, new_type
    events.record(
        transaction, call, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PHYSICAL_MEDIA, medium.id, before=before, after=after
    )
    if target.pool_type is not _FREE:
        return
    unprepared = int(State.NTMS_PARTSTATE_UNPREPARED)
    transaction.change(_SET_STATE, id=medium.id, new_state=unprepared, new_modified=transaction.now)
    for side in sides:
        if side.state != unprepared:
            events.record(
                transaction,
                call,
                Operation.NTMS_OBJ_UPDATE,
                Kind.NTMS_PARTITION,
                side.id,
                before={"state": side.state},
                after={"state": unprepared},
            )
    queue.queue_free_labels(transaction, medium.id)
