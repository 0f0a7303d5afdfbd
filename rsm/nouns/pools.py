"""A session's calls about media pools."""

from typing import Any

from rsm import values
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.nouns.base import KEEP, Keep, Noun, PoolLike, TypeLike, check_types, reference
from rsm.security import Caller, SecurityDescriptor
from rsm.services import listing, objects, pools


class Pools(Noun):
    """Media pools."""

    def create(
        self,
        path: str,
        *,
        media_type: TypeLike | None = None,
        allocate_from_free: bool = False,
        deallocate_to_free: bool = False,
        max_allocates: int = 0,
        description: str = "",
        security: SecurityDescriptor | None = None,
        exist_ok: bool = False,
        parents: bool = False,
    ) -> values.MediaPool:
        """Create an application pool, `media_type` None for one that holds pools, and return it.

        `exist_ok` returns a pool of that name as it is; `parents` makes missing pools above it first, in the same
        transaction (CreateNtmsMediaPool).

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: a number, the description or the descriptor is malformed.
            InvalidNameError: the path is not well formed, lies under a system pool or under a pool of media.
            InvalidMediaError: there is no such media type.
            ObjectNotFoundError: the parent pool is missing.
            AccessDeniedError: the right on the parent, on the root for a top-level pool, or to read one that exists, is
                missing.
            AlreadyExistsError: there is a pool of that name.
        """
        check_types({"path": path, "description": description}, str)
        flags = {"allocate_from_free": allocate_from_free, "deallocate_to_free": deallocate_to_free}
        check_types({**flags, "exist_ok": exist_ok, "parents": parents}, bool)
        check_types({"max_allocates": max_allocates}, int)
        check_types({"security": security}, SecurityDescriptor, optional=True)
        wanted = None if media_type is None else reference(media_type, "media_type", values.MediaType)

        def create_pool(transaction: Transaction) -> values.MediaPool:
            for parent in pools.missing_parents(transaction, path) if parents else ():
                pools.create_pool(transaction, self.caller, parent)
            return pools.create_pool(
                transaction,
                self.caller,
                path,
                media_type=wanted,
                max_allocates=max_allocates,
                description=description,
                security=security,
                exist_ok=exist_ok,
                **flags,
            )

        return self.session.write(create_pool)

    def get(self, pool: PoolLike) -> values.MediaPool:
        """Return what the catalogue says of a pool (GetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no such pool.
            AccessDeniedError: no use right on it.
        """
        found: values.MediaPool = self.session.read(
            objects.read_object, self.caller, Kind.NTMS_MEDIA_POOL, reference(pool, "pool", values.MediaPool)
        )
        return found

    def path(self, pool: PoolLike) -> str:
        """Return the full name of a pool; no right is needed (GetNtmsMediaPoolName).

        Raises:
            InvalidMediaPoolError: there is no such pool.
        """
        return self.session.read(_full_name, reference(pool, "pool", values.MediaPool))

    def list(
        self, parent: PoolLike | None = None, *, recursive: bool = False, include_root: bool = False
    ) -> "list[values.MediaPool]":
        """Return the pools in `parent`, None for the top level; `recursive`: the whole tree, parents first.

        Pools the caller may not read are left out (EnumerateNtmsObject).

        Raises:
            ObjectNotFoundError: there is no such parent.
        """
        check_types({"recursive": recursive, "include_root": include_root}, bool)
        above = None if parent is None else reference(parent, "parent", values.MediaPool)
        if recursive:
            top = self.container_id(above, Kind.NTMS_MEDIA_POOL)
            found = self.session.read(listing.list_tree, self.caller, top)
        else:
            found = self.pages(Kind.NTMS_MEDIA_POOL, above, Kind.NTMS_MEDIA_POOL)
        return [self.session.read(_root, self.caller), *found] if include_root and parent is None else found

    def update(
        self,
        pool: PoolLike,
        *,
        name: str | None = None,
        description: str | None = None,
        media_type: TypeLike | Keep | None = KEEP,
        allocate_from_free: bool | None = None,
        deallocate_to_free: bool | None = None,
        max_allocates: int | None = None,
    ) -> values.MediaPool:
        """Change what is given, and return the pool; `media_type` None makes it a pool of pools.

        (SetNtmsObjectInformation.)

        Raises:
            TypeError, InvalidParameterError: an argument's type or value is wrong.
            ObjectNotFoundError: there is no such pool.
            AccessDeniedError: the right is missing, or the pool belongs to the service.
            InvalidNameError: the new name, or the full name of a pool below, would not be well formed.
            AlreadyExistsError: a sibling has the new name.
            MediaIncompatibleError: the media type would change while the pool holds something.
        """
        check_types({"name": name, "description": description}, str, optional=True)
        check_types(
            {"allocate_from_free": allocate_from_free, "deallocate_to_free": deallocate_to_free}, bool, optional=True
        )
        check_types({"max_allocates": max_allocates}, int, optional=True)
        given = {
            "name": name,
            "description": description,
            "allocate_from_free": allocate_from_free,
            "deallocate_to_free": deallocate_to_free,
            "max_allocates": max_allocates,
        }
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        if not isinstance(media_type, Keep):
            wanted = None if media_type is None else reference(media_type, "media_type", values.MediaType)
            changes["media_type"] = wanted
        return self.session.write(pools.update_pool, self.caller, reference(pool, "pool", values.MediaPool), changes)

    def delete(self, pool: PoolLike) -> None:
        """Delete an empty application pool (DeleteNtmsMediaPool; MS-RSMP 3.2.5.2.2.14).

        Raises:
            InvalidHandleError: the session is closed.
            InvalidMediaPoolError: there is no such pool.
            AccessDeniedError: the right on the pool is missing.
            InvalidMediaPoolError: it is the root, or belongs to the service.
            NotEmptyError: it holds media or pools.
            DatabaseFailureError: the catalogue cannot be read or written; nothing changed unless `outcome_unknown`.
            NotEnoughMemoryError: memory ran out.
        """
        self.session.write(pools.delete_pool, self.caller, reference(pool, "pool", values.MediaPool))


def _full_name(transaction: Transaction, pool: objects.Reference) -> str:
    return pools.get_pool(transaction, pool).path


def _root(transaction: Transaction, caller: Caller) -> values.MediaPool:
    root: values.MediaPool = objects.read_object(
        transaction, caller, Kind.NTMS_MEDIA_POOL, objects.root_pool(transaction)
    )
    return root
