"""A finalizer added to an object in the server's own encoding, which leaves every other byte as it is stored.

In JSON the opaque parameters of a claim come back normalised (spaces, escapes). Sent again they are other bytes than
the stored ones, and the server takes that for a change of the immutable spec.

Source: k8s.io/apimachinery runtime/serializer/protobuf (envelope) and meta/v1 generated.proto (field numbers).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_BYTES: Final = 2
_ENVELOPE_RAW: Final = 2
_OBJECT_METADATA: Final = 1
_METADATA_FINALIZERS: Final = 14


def with_finalizer(stored: bytes, finalizer: str) -> bytes:
    """The object with one more finalizer; the same bytes if it has it. Of any kind: metadata is field 1 of all.

    A message that occurs twice is merged by its reader, so the addition is appended and nothing is rewritten.

    Raises:
        ValueError: the bytes are no Kubernetes object.
    """
    if not stored.startswith(_MAGIC):
        raise ValueError("no envelope of a Kubernetes object")
    envelope = list(_fields(stored[len(_MAGIC) :]))
    raw = b"".join(part for number, _, part in envelope if number == _ENVELOPE_RAW)
    if finalizer.encode() in _finalizers(raw):
        return stored
    addition = _piece(_OBJECT_METADATA, _piece(_METADATA_FINALIZERS, finalizer.encode()))
    changed = (
        _piece(number, raw + addition) if number == _ENVELOPE_RAW else whole for number, whole, _ in envelope
    )
    return _MAGIC + b"".join(changed)


def _finalizers(raw: bytes) -> set[bytes]:
    return {
        entry
        for number, _, metadata in _fields(raw)
        if number == _OBJECT_METADATA
        for inner, _, entry in _fields(metadata)
        if inner == _METADATA_FINALIZERS
    }


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, the field as it stands, its content) of every field."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        content = position
        match tag & 7:
            case 0:
                _, position = _varint(message, position)
            case 1:
                position += 8
            case 2:
                length, content = _varint(message, position)
                position = content + length
            case 5:
                position += 4
            case kind:
                raise ValueError(f"wire type {kind} at byte {start}")
        if position > len(message):
            raise ValueError(f"the field at byte {start} is cut off")
        yield tag >> 3, message[start:position], message[content:position]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("a number is cut off")


def _piece(number: int, content: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
