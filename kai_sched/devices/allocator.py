"""The face of the package: what placement, planning and the binder use of it."""

from kai_sched.devices.allocation import DEFAULT_OPTIONS, Options, allocate
from kai_sched.devices.choice import DevicePreference
from kai_sched.devices.explain import DeviceCounts, count_devices, explain_claims
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.refusal import DeviceRefusal, RefusalKind
from kai_sched.devices.results import has_room_for, is_usable_from
from kai_sched.devices.state import DeviceState

__all__ = [
    "DEFAULT_OPTIONS",
    "DeviceCounts",
    "DeviceIndex",
    "DevicePreference",
    "DeviceRefusal",
    "DeviceState",
    "Options",
    "RefusalKind",
    "allocate",
    "count_devices",
    "explain_claims",
    "has_room_for",
    "is_usable_from",
]
