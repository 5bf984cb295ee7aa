"""The face of the package: what placement, planning and the binder use of it."""

from kai_sched.devices.allocation import DEFAULT_OPTIONS, Options, allocate
from kai_sched.devices.boxes import Box
from kai_sched.devices.choice import DevicePreference
from kai_sched.devices.explain import explain_claims, explain_supply
from kai_sched.devices.grant import grant
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.partitions import (
    PIECE_UNIT,
    BoxNow,
    PieceKey,
    PieceNeed,
    partitions_of,
    piece_needs,
)
from kai_sched.devices.refusal import DeviceRefusal, RefusalKind
from kai_sched.devices.results import has_room_for, is_usable_from
from kai_sched.devices.state import DeviceState

__all__ = [
    "DEFAULT_OPTIONS",
    "PIECE_UNIT",
    "Box",
    "BoxNow",
    "DeviceIndex",
    "DevicePreference",
    "DeviceRefusal",
    "DeviceState",
    "Options",
    "PieceKey",
    "PieceNeed",
    "RefusalKind",
    "allocate",
    "explain_claims",
    "explain_supply",
    "grant",
    "has_room_for",
    "is_usable_from",
    "partitions_of",
    "piece_needs",
]
