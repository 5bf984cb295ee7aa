"""A finalizer added to stored bytes: everything else stays, a second time changes nothing, rubbish is refused."""

import pytest

from kai_sched.cluster.kube.protobuf import with_finalizer

NAME = b"\x0a\x0a\x0a\x08my-claim"
"""Field 1 (metadata) with field 1 (name)."""
SPEC = b"\x12\x03\x0a\x01x"
TYPE = b"\x0a\x04type"


def stored(raw: bytes) -> bytes:
    return b"k8s\x00" + TYPE + b"\x12" + bytes([len(raw)]) + raw + b"\x1a\x00"


def test_the_finalizer_is_appended_and_all_else_stays():
    changed = with_finalizer(stored(NAME + SPEC), "keep")

    assert changed == stored(NAME + SPEC + b"\x0a\x06\x72\x04keep")


def test_a_finalizer_that_is_there_is_not_added_again():
    once = with_finalizer(stored(NAME + SPEC), "keep")

    assert with_finalizer(once, "keep") == once
    assert with_finalizer(once, "other") != once


def test_lengths_of_more_than_one_byte_are_written_right():
    raw = NAME + b"\x12\x80\x02" + b"y" * 256

    changed = with_finalizer(b"k8s\x00\x12" + bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7]) + raw, "keep")

    longer = len(raw) + 8
    assert changed == (
        b"k8s\x00\x12" + bytes([longer & 0x7F | 0x80, longer >> 7]) + raw + b"\x0a\x06\x72\x04keep"
    )


@pytest.mark.parametrize("content", [b"", b"{}", b"k8s\x00\x12\x09abc", b"k8s\x00\x0b", b"k8s\x00\x80"])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(ValueError, match=r"envelope|cut off|wire type"):
        with_finalizer(content, "keep")
