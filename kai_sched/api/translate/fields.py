"""Typed reads from raw objects: each says which field is wrong, so that a bad object is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, isnan
from typing import Any, Final, ParamSpec, TypeVar

from kai_sched.api.kinds import Raw
from kai_sched.api.times import parse_time
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.texts import shown

Labels = tuple[tuple[str, str], ...]
P = ParamSpec("P")
T = TypeVar("T")

INT32: Final = 2**31 - 1
INT64: Final = 2**63 - 1
LONGEST_NAME: Final = 320
"""A label's key: a domain of 253 characters, a slash and a name of 63."""
MOST_ENTRIES: Final = 5000
"""Of any list that decisions read: more than anybody writes, and little enough to look through."""


class FieldError(ValueError):
    """A field has a value that it cannot have."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


def readable(kind: str, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Unreadable:
    """``read(raw, ...)``, or the reason why the object cannot be read: bad input harms only its own object."""
    try:
        return read(*args, **kwargs)
    except FieldError as error:
        return Unreadable(kind, key_text(args[0]), error.field, error.reason)
    except KeyError as error:
        return Unreadable(kind, key_text(args[0]), str(error.args[0]), "is missing")
    except (TypeError, AttributeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        return Unreadable(kind, key_text(args[0]), "", f"malformed: {error}")


def key_text(raw: object) -> str:
    """``namespace/name`` as far as the object has them."""
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    if not isinstance(metadata, dict):
        return "(no name)"
    name = str(metadata.get("name", "(no name)"))
    namespace = metadata.get("namespace")
    return f"{namespace}/{name}" if namespace else name


def section(owner: Raw, key: str, path: str = "") -> Raw:
    """A mapping; {} where absent."""
    value = owner.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(path, key, "an object", value)
    return value


def sections(owner: Raw, key: str, path: str = "", most: int = MOST_ENTRIES) -> list[Raw]:
    """A list of mappings; [] where absent."""
    value = owner.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(path, key, "a list", value)
    bounded(len(value), at(path, key), most)
    for position, item in enumerate(value):
        if not isinstance(item, dict):
            raise _wrong(path, f"{key}[{position}]", "an object", item)
    return value


def bounded(entries: int, field: str, most: int) -> None:
    """Refuse a list that is too long.

    Raises:
        FieldError: names the field and the limit.
    """
    if entries > most:
        raise FieldError(field, f"has {entries} entries, more than the {most} that are read")


def text(owner: Raw, key: str, path: str = "", default: str = "") -> str:
    """A text; the default where absent."""
    value = owner.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise _wrong(path, key, "a string", value)
    return value


def name_in(owner: Raw, key: str, path: str = "") -> str:
    """A name that must be there."""
    value = reference(owner, key, path)
    if not value:
        raise FieldError(at(path, key), "is missing")
    return value


def reference(owner: Raw, key: str, path: str = "") -> str:
    """What should be the name of an object; "" where absent.

    One that no object can have, for its length or its characters, names none and can be told without harm.
    """
    return shown(text(owner, key, path), LONGEST_NAME)


def texts(owner: Raw, key: str, path: str = "") -> tuple[str, ...]:
    """A list of texts; () where absent."""
    value = owner.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(path, key, "a list of strings", value)
    bounded(len(value), at(path, key), MOST_ENTRIES)
    return tuple(value)


def flag(owner: Raw, key: str, path: str = "", *, default: bool = False) -> bool:
    """A Boolean; the default where absent."""
    value = owner.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _wrong(path, key, "true or false", value)
    return value


def integer(owner: Raw, key: str, path: str = "", most: int = INT32) -> int | None:
    """An integer no further from 0 than ``most``; None where absent."""
    value = owner.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(path, key, "an integer", value)
    if abs(value) > most:
        raise FieldError(at(path, key), f"must lie between -{most} and {most}")
    return value


def number(owner: Raw, key: str, path: str = "") -> float | None:
    """A number of what a cluster can have; None where absent."""
    value = owner.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or isnan(value):
        raise _wrong(path, key, "a number", value)
    if abs(value) > INT64 + 1:
        raise FieldError(at(path, key), f"must lie between -{INT64} and {INT64}")
    return float(value)


def instant(owner: Raw, key: str, path: str = "") -> float | None:
    """An instant; None where absent."""
    value = owner.get(key)
    if value is None:
        return None
    # YAML readers turn a bare timestamp into a date; the snapshot reader keeps text, so text is all there is.
    if not isinstance(value, str):
        raise _wrong(path, key, "an RFC 3339 time", value)
    try:
        return parse_time(value)
    except ValueError as error:
        raise FieldError(at(path, key), str(error)) from error


def string_map(owner: Raw, key: str, path: str = "") -> Labels:
    """A map of texts as sorted pairs."""
    values = section(owner, key, path)
    for name, value in values.items():
        if not isinstance(value, str) or not isinstance(name, str):
            raise _wrong(at(path, key), str(name), "a string", value)
    return tuple(sorted(values.items()))


def at(path: str, key: str) -> str:
    """``path.key``."""
    return f"{path}.{key}" if path else key


def _wrong(path: str, key: str, wanted: str, value: Any) -> FieldError:
    return FieldError(at(path, key), f"must be {wanted}, is {_type_name(value)}")


def _type_name(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a Boolean",
        int: "a number",
        float: "a number",
    }
    if isinstance(value, float) and not isfinite(value):
        return "not finite"
    return names.get(type(value), type(value).__name__)
