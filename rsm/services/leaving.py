"""What becomes of the record of a cartridge that was taken out of its library on purpose.

What holds data, or may be used again, stays on record on the shelf; what says nothing worth keeping is forgotten. The
computer's policy decides about free and import media. It asks no rights and works no device.
"""

import uuid

from sqlalchemy import bindparam, select

from rsm.constants import NtmsMediaPoolPolicy, NtmsPartitionState, NtmsPoolType
from rsm.db import Transaction
from rsm.model import Computer, Id, MediaPool, PhysicalMedium, Side
from rsm.services.cleaners import forget_cleaner
from rsm.services.media import MEDIUM_COLUMNS, forget_medium
from rsm.services.places import go_offline
from rsm.services.pools import delete_unused_system_pools

State = NtmsPartitionState
_MEDIUM = (
    select(*MEDIUM_COLUMNS, PhysicalMedium.cleaner, MediaPool.pool_type)
    .join(MediaPool, MediaPool.id == PhysicalMedium.pool_id)
    .where(PhysicalMedium.id == bindparam("id", type_=Id()))
)
_STATES = select(Side.state).where(Side.medium_id == bindparam("id", type_=Id()))
_POLICY = select(Computer.media_pool_policy)
_WORTHLESS = {State.NTMS_PARTSTATE_UNKNOWN, State.NTMS_PARTSTATE_FOREIGN, State.NTMS_PARTSTATE_INCOMPATIBLE}
_FREE = {State.NTMS_PARTSTATE_UNPREPARED, State.NTMS_PARTSTATE_AVAILABLE}


def leave(transaction: Transaction, medium_id: uuid.UUID, call: str) -> bool:
    """Write down that a cartridge was taken out, and tell whether it was forgotten; nothing if it is gone already.

    Cleaners, unrecognized and incompatible media are forgotten, import media too unless
    NTMS_POOLPOLICY_KEEPOFFLINEIMPORT is set, free media only with NTMS_POOLPOLICY_PURGEOFFLINESCRATCH. Of a cartridge
    with two sides either is enough to keep it.
    """
    medium = transaction.row(_MEDIUM, id=medium_id)
    if medium is None:
        return False
    if medium.cleaner:
        forget_cleaner(transaction, medium_id, call)
        return True
    go_offline(transaction, medium_id, call)
    policy = transaction.one(_POLICY, "the computer object").media_pool_policy
    forgotten = set(_WORTHLESS)
    if not policy & NtmsMediaPoolPolicy.NTMS_POOLPOLICY_KEEPOFFLINEIMPORT:
        forgotten.add(State.NTMS_PARTSTATE_IMPORT)
    is_free = medium.pool_type == NtmsPoolType.NTMS_POOLTYPE_SCRATCH
    if is_free and policy & NtmsMediaPoolPolicy.NTMS_POOLPOLICY_PURGEOFFLINESCRATCH:
        forgotten |= _FREE
    states = {side.state for side in transaction.rows(_STATES, id=medium_id)}
    if not states <= forgotten:
        return False
    forget_medium(transaction, call, medium)
    delete_unused_system_pools(transaction, call, medium.media_type_id)
    return True
