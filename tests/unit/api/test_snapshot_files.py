"""Snapshot files: YAML as Kubernetes reads it, and what a reader should hear about a file."""

import pytest

from kai_sched.api.kinds import NODE, QUEUE
from kai_sched.api.snapshot_file import dump_yaml, parse_snapshot
from kai_sched.errors import InvalidInput

NODE_TWICE = b"""---
{apiVersion: v1, kind: Node, metadata: {name: n}, status: {allocatable: {cpu: 1}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n}, status: {allocatable: {cpu: 2}}}
"""


def queue(quota: str) -> bytes:
    spec = f"{{resources: {{gpu: {{quota: {quota}}}}}}}"
    return f"---\n{{apiVersion: scheduling.run.ai/v2, kind: Queue, metadata: {{name: q}}, spec: {spec}}}".encode()


def quota_in(content: bytes) -> object:
    raw = parse_snapshot(content).find(QUEUE, "q")
    assert raw is not None
    return raw["spec"]["resources"]["gpu"]["quota"]


@pytest.mark.parametrize(
    ("written", "read"),
    [("1e3", 1000.0), ("1e+21", 1e21), ("12:30", "12:30"), ("7", 7), ("2026-01-01", "2026-01-01")],
)
def test_values_are_read_as_kubernetes_reads_them(written: str, read: object):
    assert quota_in(queue(written)) == read


@pytest.mark.parametrize(
    "text", ["1e3", "1e+21", "12:30", "010", "yes", "null", ".5", "08", "2026-01-01", ""]
)
def test_what_is_saved_is_read_back_as_the_same_text(text: str):
    document = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"rack": text}}}

    raw = parse_snapshot(dump_yaml(document).encode()).find(NODE, "n")

    assert raw is not None
    assert raw["metadata"]["labels"]["rack"] == text


def test_a_key_that_is_there_twice_is_an_error():
    with pytest.raises(InvalidInput, match="key 'name' is there twice"):
        parse_snapshot(b"---\n{apiVersion: v1, kind: Node, metadata: {name: a, name: b}}", source="f.yaml")


def test_merged_keys_may_be_overridden_also_through_two_anchors():
    content = b"""
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: {name: n, labels: &a {p: "1"}, annotations: &b {<<: *a, p: "2"}}
- apiVersion: v1
  kind: Node
  metadata: {name: m, labels: {<<: *b, p: "3"}}
"""
    raw = parse_snapshot(content).find(NODE, "m")

    assert raw is not None
    assert raw["metadata"]["labels"] == {"p": "3"}


def test_an_object_that_is_there_twice_with_other_content_is_said():
    assert parse_snapshot(NODE_TWICE, source="f.yaml").remarks == [
        "f.yaml: Node n: is there twice with different content, the later one holds"
    ]


def test_a_version_that_is_not_known_is_said():
    content = queue("1").replace(b"run.ai/v2", b"run.ai/v1")

    assert parse_snapshot(content, source="f.yaml").remarks == [
        "f.yaml: Queue q: apiVersion: v1 is not known, read as v2"
    ]


@pytest.mark.parametrize("content", [b"", b"---\n---\n", b"# nothing\n"])
def test_a_file_without_any_object_is_said(content: bytes):
    assert parse_snapshot(content, source="f.yaml").remarks == ["f.yaml: holds no object"]


def test_yaml_may_begin_with_a_bracket():
    assert parse_snapshot(b"{apiVersion: v1, kind: Node, metadata: {name: n}}").find(NODE, "n") is not None


@pytest.mark.parametrize("content", [b'{"kind": "Node", ', b"[" * 100_000, b"a: " + b"[" * 50_000])
def test_a_broken_file_is_one_line_that_names_it(content: bytes):
    with pytest.raises(InvalidInput, match=r"\Af.yaml: neither JSON nor YAML: [^\n]+\Z"):
        parse_snapshot(content, source="f.yaml")
