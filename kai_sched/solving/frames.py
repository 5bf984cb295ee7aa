"""Frames: values on a pipe, each as a header, its pickle (protocol 5) and the buffers that travel beside it.

The header says how long every part is, so that a reader knows a broken or foreign stream when it sees one.
"""

from __future__ import annotations

import gc
import io
import pickle
import struct
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import BinaryIO, Protocol

from kai_sched.errors import SolverFailed

_MAGIC = b"KSF1"
_HEADER = struct.Struct("<4sI")
_LENGTH = struct.Struct("<Q")
_MAX_PARTS = 1 << 16
_MAX_PART_BYTES = 1 << 32

_MODEL = "kai_sched.model."
_MESSAGES = "kai_sched.solving.messages"
_OTHER_NAMES = frozenset(
    {
        ("kai_sched.model.pods", "_from_columns"),
        ("fractions", "Fraction"),
        ("builtins", "frozenset"),
        ("builtins", "set"),
        ("builtins", "bytearray"),
        ("builtins", "object"),
        ("copyreg", "__newobj__"),
        ("copyreg", "_reconstructor"),
    }
)


class AsyncReader(Protocol):
    """The part of asyncio.StreamReader that is needed here."""

    async def readexactly(self, n: int) -> bytes: ...


def encode(value: object) -> list[bytes | memoryview]:
    """The parts of a frame, to be written one after another."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts: list[bytes | memoryview] = [body, *(buffer.raw() for buffer in buffers)]
    lengths = b"".join(_LENGTH.pack(len(part)) for part in parts)
    return [_HEADER.pack(_MAGIC, len(parts)) + lengths, *parts]


def size_of(parts: Iterable[bytes | memoryview]) -> int:
    """Bytes of a frame."""
    return sum(len(part) for part in parts)


def decode(parts: Sequence[bytes]) -> object:
    """The value of a frame's parts; only our own types are made from it.

    Raises:
        SolverFailed: the bytes are no pickle of such types.
    """
    body, *buffers = parts
    collects = gc.isenabled()
    gc.disable()  # A hundred thousand new objects that all stay: collecting in between only costs.
    try:
        return _Unpickler(io.BytesIO(body), buffers=buffers).load()
    except Exception as error:  # garbage makes pickle raise anything
        raise SolverFailed(f"a frame could not be read: {error!r}") from error
    finally:
        if collects:
            gc.enable()


async def read_frame(reader: AsyncReader) -> list[bytes]:
    """The parts of the next frame.

    Raises:
        SolverFailed: the stream holds something else.
        asyncio.IncompleteReadError: it ended.
    """
    count = _part_count(await reader.readexactly(_HEADER.size))
    lengths = _lengths(await reader.readexactly(count * _LENGTH.size))
    return [await reader.readexactly(length) for length in lengths]


def read_frame_from(stream: BinaryIO) -> list[bytes] | None:
    """The parts of the next frame of a blocking stream; None where it ended between frames."""
    header = stream.read(_HEADER.size)
    if not header:
        return None
    count = _part_count(header)
    lengths = _lengths(stream.read(count * _LENGTH.size))
    parts = [stream.read(length) for length in lengths]
    if len(parts) != count or any(len(part) != length for part, length in zip(parts, lengths, strict=True)):
        raise SolverFailed("the stream ended inside a frame")
    return parts


def write_frame(stream: BinaryIO, value: object) -> None:
    """Write a value as one frame."""
    stream.writelines(encode(value))
    stream.flush()


def _part_count(header: bytes) -> int:
    if len(header) != _HEADER.size:
        raise SolverFailed("the stream ended inside a frame")
    magic, count = _HEADER.unpack(header)
    if magic != _MAGIC or not 0 < count <= _MAX_PARTS:
        raise SolverFailed("the stream holds something that is no frame")
    return int(count)


def _lengths(table: bytes) -> list[int]:
    lengths = [
        length for (length,) in _LENGTH.iter_unpack(table[: len(table) // _LENGTH.size * _LENGTH.size])
    ]
    if any(length > _MAX_PART_BYTES for length in lengths):
        raise SolverFailed("a frame claims to be larger than anything we send")
    return lengths


def _enum_member(kind: object, name: str) -> Enum:
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise pickle.UnpicklingError(f"{kind!r} is no enum")
    return kind[name]


class _Unpickler(pickle.Unpickler):
    """Makes nothing but our own values, so that nonsense stays nonsense."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("builtins", "getattr"):
            # So the first releases of Python 3.11 write members of enums.
            return _enum_member
        if (module, name) in _OTHER_NAMES:
            return super().find_class(module, name)
        # Exactly a class of that module, by its own name: pickle would follow dots into what a module has imported.
        if "." not in name and (module.startswith(_MODEL) or module == _MESSAGES):
            found = super().find_class(module, name)
            if isinstance(found, type) and (found.__module__, found.__qualname__) == (module, name):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} does not belong here")
