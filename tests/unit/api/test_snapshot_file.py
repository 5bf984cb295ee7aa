"""Snapshot files: read as Kubernetes reads YAML, and every mistake named with its place."""

from __future__ import annotations

import pytest
import yaml

from kai_sched.api import kinds
from kai_sched.api.snapshot_file import dump_yaml, parse_snapshot, snapshot_document
from kai_sched.errors import InvalidInput

NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"


def read(text: str) -> dict[str, object]:
    """A document as the only object of a file, its field ``x`` aside."""
    (raw,) = list(parse_snapshot(f"{NODE}x: {text}\n".encode(), source="f.yaml"))
    return dict(raw)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00Z"),
        ("12:30", "12:30"),
        ("1e3", 1000.0),
        ("0777", 0o777),
        ("0x1F", 31),
        ("-4", -4),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("4Gi", "4Gi"),
        ("yes", True),
    ],
)
def test_scalars_are_what_kubernetes_takes_them_for(text, value):
    found = read(text)["x"]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["1e3", "12:30", "0777", "null", "true", "2026-11-21", "1_000", ".5"])
def test_text_stays_text_when_it_is_written_and_read_again(text):
    document = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "x": text}

    (raw,) = parse_snapshot(dump_yaml(document).encode())

    assert raw["x"] == text
    assert yaml.safe_load(dump_yaml(document))["x"] == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (NODE + "kind: Pod\n", ("f.yaml", "'kind' is there twice")),
        (NODE + "spec:\n  a: 1\n  a: 2\n", ("f.yaml", "'a' is there twice")),
        ("\tkind: Node\n", ("f.yaml",)),
        ("[1, 2]\n", ("f.yaml",)),
        ("just words\n", ("f.yaml",)),
        ("kind: Node\nmetadata: {name: n1}\n", ("f.yaml", "apiVersion")),
        ("apiVersion: v1\nkind: Node\n", ("f.yaml", "metadata")),
        ("apiVersion: v1\nkind: Node\nmetadata: n1\n", ("f.yaml", "metadata")),
        ("apiVersion: v1\nkind: Node\nmetadata: {labels: {}}\n", ("f.yaml", "name")),
        ("apiVersion: v1\nkind: List\nitems: 3\n", ("f.yaml", "items")),
        ("apiVersion: v1\nkind: List\nitems: [7]\n", ("f.yaml", "items[0]")),
        ("\x00\x01\x02", ("f.yaml",)),
        ('{"kind": ', ("f.yaml",)),
    ],
)
def test_what_is_no_object_is_named_with_its_place(content, words):
    with pytest.raises(InvalidInput) as failure:
        list(parse_snapshot(content.encode(), source="f.yaml"))

    assert all(word in str(failure.value) for word in words)
    assert "\n" not in str(failure.value)


def test_merged_keys_may_be_overridden():
    content = f"{NODE}base: &base {{a: 1, b: 2}}\nx: {{<<: *base, a: 3}}\n"

    (raw,) = parse_snapshot(content.encode())

    assert raw["x"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        ("", "f.yaml: holds no object"),
        ("---\n---\n", "f.yaml: holds no object"),
        (
            "apiVersion: resource.k8s.io/v1beta1\nkind: ResourceSlice\nmetadata: {name: s}\n",
            "f.yaml: ResourceSlice s: apiVersion: v1beta1 is not known, read as v1",
        ),
        (
            f"{NODE}---\n{NODE}spec: {{unschedulable: true}}\n",
            "f.yaml: Node n1: is there twice with different content, the later one holds",
        ),
    ],
)
def test_what_may_not_be_meant_is_remarked(content, remark):
    assert parse_snapshot(content.encode(), source="f.yaml").remarks == [remark]


def test_the_same_object_twice_is_nothing_to_remark():
    assert parse_snapshot(f"{NODE}---\n{NODE}".encode()).remarks == []


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
    raw = parse_snapshot(content).find(kinds.NODE, "m")

    assert raw is not None
    assert raw["metadata"]["labels"] == {"p": "3"}


def test_yaml_may_begin_with_a_bracket():
    assert (
        parse_snapshot(b"{apiVersion: v1, kind: Node, metadata: {name: n}}").find(kinds.NODE, "n") is not None
    )


@pytest.mark.parametrize("content", [b'{"kind": "Node", ', b"[" * 100_000, b"a: " + b"[" * 50_000])
def test_a_broken_file_is_one_line_that_names_it(content: bytes):
    with pytest.raises(InvalidInput, match=r"\Af.yaml: neither JSON nor YAML: [^\n]+\Z"):
        parse_snapshot(content, source="f.yaml")


def test_of_a_pods_annotations_those_that_decisions_read_are_saved() -> None:
    annotations = {
        "pod-group-name": "g",
        "gpu-fraction": "0.5",
        "kai.scheduler/topology": "t",
        "secret": "s3cr3t",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "team", "annotations": annotations},
        "spec": {"containers": []},
    }
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"key": "s3cr3t"}}

    saved = snapshot_document([pod, settings], 0.0)["items"]

    assert "s3cr3t" not in str(saved)
    assert saved[0]["metadata"]["annotations"].keys() == annotations.keys() - {"secret"}
    assert saved[1]["metadata"] == {"name": "c"}
