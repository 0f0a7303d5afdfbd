"""The Win32 face: the NTMS functions, constants and structures under their header names, over `rsm.session`.

A function takes its in and in-out parameters in C order, by position or by their C names, and returns the code alone,
or a tuple of the code and the outs, None where nothing was produced. GUIDs are `uuid.UUID`, text is `str`, times are
`datetime` in UTC, handles are opaque. Nothing that a caller did or a device or database suffered raises: it is a code.
Leaving out a required argument is a TypeError, as in C it is an error of the compiler; None is an absent one.
"""

from rsm.constants import *  # noqa: F403 - all of the header
from rsm.ntmsapi.allocation import *  # noqa: F403
from rsm.ntmsapi.cleaning import *  # noqa: F403
from rsm.ntmsapi.database import *  # noqa: F403
from rsm.ntmsapi.functions import *  # noqa: F403
from rsm.ntmsapi.library import *  # noqa: F403
from rsm.ntmsapi.mounting import *  # noqa: F403
from rsm.ntmsapi.notifications import *  # noqa: F403
from rsm.ntmsapi.operators import *  # noqa: F403
from rsm.ntmsapi.ports import *  # noqa: F403
from rsm.ntmsapi.standalone import *  # noqa: F403
from rsm.ntmsapi.structures import *  # noqa: F403
