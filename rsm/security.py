"""Who may do what: callers, access control entries, the rights every call needs in both eras, and the pure check.

It knows nothing of the database: services read a guard's owner and entries and ask here. Only the computer, libraries
and media pools are guards; every other object is judged by the guard it belongs to.
Source: MS-RSMP Appendix B note 20 (both tables), the function pages, and the project's decisions on trustees.
"""

import enum
import grp
import os
import pwd
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import InvalidParameterError

ADMINISTRATORS = "administrators"
OPERATORS = "operators"
EVERYONE = "everyone"
_MAXIMUM_TRUSTEE_CHARACTERS = 256


class AccessRights(enum.IntFlag):
    """What an access control entry allows or denies."""

    USE = 0x1
    MODIFY = 0x2
    CONTROL = 0x4
    READ_CONTROL = 0x20000
    WRITE_DAC = 0x40000
    WRITE_OWNER = 0x80000


ALL_RIGHTS = AccessRights(0xE0007)
_OWNERS_RIGHTS = AccessRights.READ_CONTROL | AccessRights.WRITE_DAC | AccessRights.WRITE_OWNER


class AccessEra(enum.IntEnum):
    """Whose table of rights a catalogue follows."""

    WINDOWS_2000 = 2000
    SERVER_2003 = 2003


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a user, the groups it is in, and whether it administers the machine."""

    user: str
    groups: tuple[str, ...] = ()
    administrator: bool = False

    @classmethod
    def of_process(cls) -> "Caller":
        """Return the user this process runs as; a uid or gid without a name becomes `user:#1000` or `group:#1000`."""
        try:
            user = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            user = f"#{os.geteuid()}"
        groups = sorted({os.getegid(), *os.getgroups()})
        return cls(f"user:{user}", tuple(f"group:{_group_name(gid)}" for gid in groups), os.geteuid() == 0)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"#{gid}"


@dataclass(frozen=True, slots=True)
class Ace:
    """One access control entry. `inherited` tells that it was taken over from the parent pool."""

    allow: bool
    trustee: str
    rights: AccessRights
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class SecurityDescriptor:
    """Owner and list of a guard. None means: this part was not asked for, or is not to be written."""

    owner: str | None = None
    dacl: tuple[Ace, ...] | None = None

    @property
    def size_bytes(self) -> int:
        """The room a self-relative descriptor with three-part identifiers takes: what nLength is compared with."""
        size = 20 + (28 if self.owner is not None else 0)
        return size if self.dacl is None else size + 8 + 36 * len(self.dacl)


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of a catalogue's own row that access checks need."""

    access_era: AccessEra
    creator: str
    administrators: str
    operators: str


@dataclass(frozen=True, slots=True)
class Guard:
    """The owner and entries that protect an object."""

    owner: str
    dacl: Sequence[Ace]


class Scope(enum.Enum):
    """The kind of guard that decides."""

    POOL = "media pool"
    LIBRARY = "library"
    COMPUTER = "computer"


SCOPE_OF_KIND: dict[Kind, Scope] = {
    **dict.fromkeys(
        (Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_MEDIA_POOL, Kind.NTMS_PARTITION, Kind.NTMS_PHYSICAL_MEDIA), Scope.POOL
    ),
    **dict.fromkeys(
        (
            Kind.NTMS_CHANGER,
            Kind.NTMS_DRIVE,
            Kind.NTMS_IEDOOR,
            Kind.NTMS_IEPORT,
            Kind.NTMS_LIBRARY,
            Kind.NTMS_LIBREQUEST,
            Kind.NTMS_STORAGESLOT,
        ),
        Scope.LIBRARY,
    ),
    **dict.fromkeys(
        (Kind.NTMS_CHANGER_TYPE, Kind.NTMS_COMPUTER, Kind.NTMS_DRIVE_TYPE, Kind.NTMS_MEDIA_TYPE, Kind.NTMS_OPREQUEST),
        Scope.COMPUTER,
    ),
}
GUARD_KINDS = frozenset({Kind.NTMS_COMPUTER, Kind.NTMS_LIBRARY, Kind.NTMS_MEDIA_POOL})

_NONE = AccessRights(0)
_U, _M, _C = AccessRights.USE, AccessRights.MODIFY, AccessRights.CONTROL


@dataclass(frozen=True, slots=True)
class Need:
    """The rights a call needs on each guard; `by_kind` on the guard of whatever object it is given."""

    pool: AccessRights = _NONE
    library: AccessRights = _NONE
    computer: AccessRights = _NONE
    by_kind: AccessRights = _NONE
    kinds: dict[Kind, AccessRights] = field(default_factory=dict)

    def on(self, kind: Kind) -> AccessRights:
        """Return the right needed on the guard of an object of this kind."""
        return self.kinds.get(kind, self.by_kind)


# (Server 2003, Windows 2000 and XP). No entry on a guard: not checked there.
RIGHTS: dict[str, tuple[Need, Need]] = {
    "OpenNtmsSession": (Need(computer=_U), Need(computer=_U)),
    "AddNtmsMediaType": (Need(library=_M), Need(library=_C)),
    "DeleteNtmsMediaType": (Need(library=_M), Need(library=_C)),
    "ChangeNtmsMediaType": (Need(pool=_M, computer=_M), Need(pool=_M)),
    "CreateNtmsMedia": (Need(pool=_M, computer=_M), Need(pool=_C, library=_M)),
    "CreateNtmsMediaPool": (Need(pool=_C), Need(pool=_M)),
    "DeleteNtmsMedia": (Need(pool=_M, computer=_M), Need(pool=_M)),
    "DeleteNtmsMediaPool": (Need(pool=_M), Need(pool=_C)),
    "DisableNtmsObject": (Need(library=_M), Need(library=_C)),
    "EnableNtmsObject": (Need(library=_M), Need(library=_C)),
    "EnumerateNtmsObject": (Need(), Need()),
    "GetNtmsMediaPoolName": (Need(), Need()),
    "GetNtmsObjectAttribute": (Need(by_kind=_U), Need()),
    "GetNtmsObjectInformation": (Need(by_kind=_U), Need()),
    "GetNtmsObjectSecurity": (Need(by_kind=AccessRights.READ_CONTROL), Need()),
    "MoveToNtmsMediaPool": (Need(pool=_C), Need(pool=_M)),
    "SetNtmsObjectAttribute": (Need(by_kind=_M), Need()),
    "SetNtmsObjectInformation": (
        Need(by_kind=_M, kinds={Kind.NTMS_LIBRARY: _C}),
        Need(kinds={Kind.NTMS_LIBRARY: _C, Kind.NTMS_MEDIA_POOL: _C, Kind.NTMS_PARTITION: _C}),
    ),
    "SetNtmsObjectSecurity": (Need(by_kind=AccessRights.WRITE_DAC), Need(by_kind=AccessRights.WRITE_DAC)),
    "AllocateNtmsMedia": (Need(pool=_C), Need(pool=_M)),
    "DeallocateNtmsMedia": (Need(pool=_C), Need(pool=_M)),
    "SetNtmsMediaComplete": (Need(pool=_C), Need(pool=_M)),
    "DecommissionNtmsMedia": (Need(pool=_C), Need(pool=_M)),
    "SwapNtmsMedia": (Need(pool=_M), Need(pool=_M)),
    "UpdateNtmsOmidInfo": (Need(pool=_C), Need(pool=_C)),
    "MountNtmsMedia": (Need(pool=_U, library=_U), Need(pool=_U, library=_U)),
    "DismountNtmsMedia": (Need(pool=_U, library=_U), Need(pool=_U, library=_U)),
    "DismountNtmsDrive": (Need(library=_M), Need(library=_C)),
    "InventoryNtmsLibrary": (Need(library=_C), Need(library=_C)),
    "IdentifyNtmsSlot": (Need(library=_C), Need(library=_C)),
    "EjectNtmsMedia": (Need(library=_C), Need(library=_C)),
    "InjectNtmsMedia": (Need(library=_C), Need(library=_C)),
    "AccessNtmsLibraryDoor": (Need(library=_C), Need(library=_C)),
    "EjectDiskFromSADrive": (Need(library=_C), Need(library=_C)),
    "DeleteNtmsLibrary": (Need(library=_M), Need(library=_M)),
    "DeleteNtmsDrive": (Need(library=_M), Need(library=_M)),
    "CleanNtmsDrive": (Need(library=_C), Need(library=_C)),
    "ReserveNtmsCleanerSlot": (Need(library=_C), Need(library=_C)),
    "ReleaseNtmsCleanerSlot": (Need(library=_C), Need(library=_C)),
    "InjectNtmsCleaner": (Need(library=_C), Need(library=_C)),
    "EjectNtmsCleaner": (Need(library=_C), Need(library=_C)),
    "DeleteNtmsRequests": (Need(computer=_M), Need(computer=_C)),
    "GetNtmsRequestOrder": (Need(computer=_C), Need()),
    "SetNtmsRequestOrder": (Need(computer=_C), Need()),
    # Cancelling a library request, satisfying and cancelling an operator request: administrators only, by every text.
    "SubmitNtmsOperatorRequest": (Need(pool=_C, library=_C, computer=_U), Need()),
    "WaitForNtmsOperatorRequest": (Need(), Need()),
    "OpenNtmsNotification": (Need(computer=_U), Need()),
    "GetNtmsUIOptions": (Need(by_kind=_U), Need(by_kind=_U)),
    "ExportNtmsDatabase": (Need(computer=_C), Need(computer=_C)),
    "ImportNtmsDatabase": (Need(computer=_C), Need(computer=_C)),
    "SetNtmsUIOptions": (Need(by_kind=_U | _M), Need(by_kind=_U | _M)),
}


def need(call: str, era: AccessEra) -> Need:
    """Return what `call` needs in `era`."""
    return RIGHTS[call][0 if era is AccessEra.SERVER_2003 else 1]


def is_administrator(caller: Caller, policy: Policy) -> bool:
    """Tell whether the caller administers the catalogue: uid 0, its creator, or a member of the chosen group."""
    return caller.administrator or caller.user == policy.creator or policy.administrators in caller.groups


def passes_everything(caller: Caller, policy: Policy) -> bool:
    """Tell whether no list can refuse the caller: administrators, in the 2003 era (MS-RSMP note 85)."""
    return policy.access_era is AccessEra.SERVER_2003 and is_administrator(caller, policy)


def trustees(caller: Caller, policy: Policy) -> frozenset[str]:
    """Return every trustee that names the caller."""
    names = {caller.user, EVERYONE, *caller.groups}
    if is_administrator(caller, policy):
        names.add(ADMINISTRATORS)
    if policy.operators in caller.groups:
        names.add(OPERATORS)
    return frozenset(names)


def allows(caller: Caller, policy: Policy, guard: Guard, rights: AccessRights) -> bool:
    """Tell whether the guard lets the caller do all of `rights`.

    Entries count in stored order and the first that names the caller and a right decides it; what none names is
    denied. An owner may always read and rewrite owner and list; administrators pass every check in the 2003 era.
    """
    if passes_everything(caller, policy):
        return True
    names = trustees(caller, policy)
    missing = rights & ~_OWNERS_RIGHTS if guard.owner in names else rights
    for ace in guard.dacl:
        if not missing:
            break
        if ace.trustee in names and ace.rights & missing:
            if not ace.allow:
                return False
            missing &= ~ace.rights
    return not missing


def default_dacl(*extra: Ace) -> tuple[Ace, ...]:
    """Return the list a guard of the service gets: administrators all, operators all work, everyone use."""
    return (
        *extra,
        Ace(True, ADMINISTRATORS, ALL_RIGHTS),
        Ace(True, OPERATORS, _U | _M | _C | AccessRights.READ_CONTROL),
        Ace(True, EVERYONE, _U),
    )


def inherited(dacl: Iterable[Ace]) -> tuple[Ace, ...]:
    """Return a parent's entries as its new child takes them over."""
    return tuple(Ace(ace.allow, ace.trustee, ace.rights, True) for ace in dacl)


def check_trustee(trustee: object) -> str:
    """Return the trustee if it is well formed.

    Raises:
        InvalidParameterError: not `user:NAME`, `group:NAME`, `everyone`, `administrators` or `operators`.
    """
    if isinstance(trustee, str) and len(trustee) <= _MAXIMUM_TRUSTEE_CHARACTERS:
        if trustee in (EVERYONE, ADMINISTRATORS, OPERATORS):
            return trustee
        kind, colon, name = trustee.partition(":")
        clean = not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
        if kind in ("user", "group") and colon and name and clean:
            return trustee
    raise InvalidParameterError(
        f"{trustee!r} is no trustee: write user:NAME, group:NAME, everyone, administrators or operators"
    )


def check_descriptor(descriptor: object) -> SecurityDescriptor:
    """Return the descriptor if every part of it is well formed.

    Raises:
        InvalidParameterError: it is no descriptor, or a trustee or a set of rights in it means nothing.
    """
    if not isinstance(descriptor, SecurityDescriptor):
        raise InvalidParameterError(f"a security descriptor is needed, not {type(descriptor).__name__}")
    if descriptor.owner is not None:
        check_trustee(descriptor.owner)
    if descriptor.dacl is None:
        return descriptor
    if not isinstance(descriptor.dacl, (tuple, list)):
        raise InvalidParameterError("the list of a security descriptor is a tuple of rsm.Ace")
    return SecurityDescriptor(descriptor.owner, tuple(_check_ace(ace) for ace in descriptor.dacl))


def _check_ace(ace: object) -> Ace:
    if not isinstance(ace, Ace):
        raise InvalidParameterError(f"an access control entry is an rsm.Ace, not {type(ace).__name__}")
    check_trustee(ace.trustee)
    if not isinstance(ace.rights, int) or not 0 < ace.rights <= ALL_RIGHTS or ace.rights & ~ALL_RIGHTS:
        raise InvalidParameterError(f"{ace.rights!r} is no set of access rights")
    if not isinstance(ace.allow, bool) or not isinstance(ace.inherited, bool):
        raise InvalidParameterError("whether an entry allows, and whether it is inherited, is True or False")
    return Ace(ace.allow, ace.trustee, AccessRights(ace.rights), ace.inherited)


def check_caller(caller: object) -> Caller:
    """Return the caller if its names are well formed.

    Raises:
        TypeError: it is no Caller.
        InvalidParameterError: its user is not `user:NAME`, or a group is not `group:NAME`.
    """
    if not isinstance(caller, Caller):
        raise TypeError(f"caller must be an rsm.Caller, not {type(caller).__name__}")
    if not check_trustee(caller.user).startswith("user:"):
        raise InvalidParameterError(f"a caller's user is user:NAME, not {caller.user!r}")
    if not isinstance(caller.groups, tuple) or any(
        not check_trustee(group).startswith("group:") for group in caller.groups
    ):
        raise InvalidParameterError("a caller's groups are a tuple of group:NAME")
    if not isinstance(caller.administrator, bool):
        raise InvalidParameterError("whether a caller is an administrator is True or False")
    return caller
