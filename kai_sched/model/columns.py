"""Columns: many records of one class as one flat piece a field, which travels many times faster than the objects.

Numbers become machine arrays, repeated values a list of distinct ones with codes, long lists of distinct texts one
joined text. The pieces pickle with protocol 5, out of band where the pickler asks for it.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import repeat
from operator import attrgetter, is_
from pickle import PickleBuffer
from typing import Any

Column = tuple[str, object, object]
"""(kind, values, codes); see ``_pack_column``."""

_SEPARATOR = "\x1f"
_CHEAP_TO_HASH = (str, int, float, type(None))


def pack(record_type: type[Any], records: Sequence[object]) -> tuple[type[Any], int, tuple[Column, ...]]:
    """The columns of records, all of exactly this dataclass (frozen, slots)."""
    columns = tuple(
        _pack_column(list(map(attrgetter(field.name), records))) if records else ("empty", None, None)
        for field in fields(record_type)
    )
    return record_type, len(records), columns


def unpack(record_type: type[Any], count: int, columns: Sequence[Column]) -> tuple[Any, ...]:
    """The records again. Slots are set directly: the constructor of a frozen class is slow."""
    records = tuple(map(object.__new__, repeat(record_type, count)))
    if records:
        for field, column in zip(fields(record_type), columns, strict=True):
            setter: Callable[[object, object], None] = getattr(record_type, field.name).__set__
            deque(map(setter, records, _unpack_column(column, count)), maxlen=0)
    return records


def _pack_column(values: list[object]) -> Column:
    """Kinds: same (one value for all), float, text (distinct joined), coded (distinct values and a code each)."""
    if all(map(is_, values, repeat(values[0]))):
        return "same", values[0], None
    kinds = set(map(type, values))
    if kinds == {float}:
        numbers: list[float] = values  # type: ignore[assignment]
        return "float", PickleBuffer(array("d", numbers).tobytes()), None
    is_cheap = all(issubclass(kind, _CHEAP_TO_HASH) for kind in kinds)
    # Equal values of different types (1, True, an enum) must not become one; objects are told apart by identity.
    keys: list[object] = list(values) if is_cheap and len(kinds) == 1 else list(map(id, values))
    distinct = dict(zip(keys, values, strict=True))
    if len(distinct) == 1:
        return "same", values[0], None
    if kinds == {str} and 2 * len(distinct) > len(values):
        joined = _SEPARATOR.join(values)  # type: ignore[arg-type]
        if joined.count(_SEPARATOR) == len(values) - 1:
            return "text", joined, None
    code_of = dict(zip(distinct, range(len(distinct)), strict=True))
    codes = array("I", map(code_of.__getitem__, keys))
    return "coded", list(distinct.values()), PickleBuffer(codes.tobytes())


def _unpack_column(column: Column, count: int) -> Iterable[object]:
    kind, values, codes = column
    if kind == "float":
        return _machine_array("d", values)
    if kind == "text":
        return str(values).split(_SEPARATOR)
    if kind == "coded":
        distinct: list[object] = values  # type: ignore[assignment]
        return map(distinct.__getitem__, _machine_array("I", codes))
    return repeat(values, count)


def _machine_array(code: str, buffer: object) -> array[Any]:
    numbers = array(code)
    numbers.frombytes(buffer)  # type: ignore[arg-type]
    return numbers
