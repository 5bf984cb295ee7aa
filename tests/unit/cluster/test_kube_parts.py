"""Parts of the client that need no server: lines, limits, failures, paths, deep documents."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kai_sched.cluster.backoff import Backoff
from kai_sched.cluster.decoding import decode
from kai_sched.cluster.kube import resources as kinds
from kai_sched.cluster.kube.failures import failure_of
from kai_sched.cluster.kube.limits import RequestLimit
from kai_sched.cluster.kube.lines import LineCutter


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_the_same_however_the_stream_is_cut(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    cutter = LineCutter()

    found = [
        line
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for line in cutter.feed(stream[start:end])
    ]

    assert found == [line for line in lines if line]


def test_an_unfinished_line_is_not_delivered():
    assert LineCutter().feed(b"one\ntwo") == [b"one"]


def test_a_burst_passes_at_once_and_the_rest_at_the_rate(monkeypatch):
    now, slept = [100.0], []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    limit = RequestLimit(10.0, 3, lambda: now[0])

    async def five() -> None:
        for _ in range(5):
            await limit.wait()

    asyncio.run(five())
    assert slept == [0.1, 0.2]
    now[0] += 60.0
    asyncio.run(five())
    assert slept == [0.1, 0.2, 0.1, 0.2]


def test_the_status_document_of_a_refusal_gives_reason_and_message():
    body = orjson.dumps({"kind": "Status", "reason": "Conflict", "message": "object changed"})

    failure = failure_of("PUT", "/x", 409, body, {})

    assert (failure.status, failure.reason, failure.retryable) == (409, "Conflict", False)
    assert "object changed" in str(failure)


@pytest.mark.parametrize(
    ("asked", "meant"), [("3", 3.0), ("9" * 400, None), ("86400", 300.0), ("soon", None)]
)
def test_a_pause_that_an_answer_asks_for_is_bounded(asked: str, meant: float | None):
    failure = failure_of("GET", "/x", 503, b"", {"Retry-After": asked})

    assert failure.retry_after_seconds == meant


def test_a_refusal_that_is_no_document_still_has_its_text():
    failure = failure_of("GET", "/x", 503, b"<html>no backend</html>", {"Retry-After": "3"})

    assert failure.retryable
    assert failure.retry_after_seconds == 3.0
    assert "no backend" in str(failure)


def test_paths_of_objects_and_subresources():
    assert kinds.PODS.item("p", "ns", "binding") == "/api/v1/namespaces/ns/pods/p/binding"
    assert (
        kinds.RESOURCE_CLAIMS.item_of_key("ns/c") == "/apis/resource.k8s.io/v1/namespaces/ns/resourceclaims/c"
    )
    assert kinds.QUEUES.item_of_key("q") == "/apis/scheduling.run.ai/v2/queues/q"
    assert kinds.NODES.collection("ns") == "/api/v1/nodes"


def test_delays_lie_in_the_upper_half_of_the_doubling():
    low, high = Backoff(lambda: 0.0), Backoff(lambda: 0.999)

    assert [low.next_delay() for _ in range(3)] == [0.1, 0.2, 0.4]
    assert 0.19 < high.next_delay() < 0.2


_NESTED = st.recursive(
    st.one_of(st.none(), st.integers(-5, 5), st.text(alphabet='a"\\{}[],: \u00e9', max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


@settings(max_examples=settings.default.max_examples // 4)
@given(_NESTED, _NESTED)
def test_a_part_nested_too_deep_to_parse_hides_nothing_else(before, after):
    deep = b"[" * 1500 + b'{"s":"]}\\"["}' + b"]" * 1500
    data = b'{"before":%b,"deep":%b,"after":%b}' % (orjson.dumps(before), deep, orjson.dumps(after))

    document = decode(data)

    assert document["before"] == before
    assert document["after"] == after
    assert isinstance(document["deep"], list)
