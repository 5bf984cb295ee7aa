"""Pages about objects, against a real API server: their files are taken, their commands do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.kinds import collection_path
from tests.cluster.shell import ROOT, a_shell

Document = dict[str, Any]
RUNTIME_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
PAGE = (ROOT / "docs/asking-for-gpus.md").read_text()
BLOCKS: list[tuple[str, str]] = [
    (f"{page.relative_to(ROOT)}:{number}", text)
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    for number, text in enumerate(
        re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    )
]


@pytest.mark.parametrize("text", [text for _, text in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_the_api_server_takes_every_object_that_a_page_shows(
    cluster: LocalCluster, namespace: str, text: str
) -> None:
    documents = [document for document in yaml.safe_load_all(text) if document]
    assert documents
    for document in documents:
        runtime = document["spec"].get("runtimeClassName")
        if runtime is not None:
            # What the administrator of confidential nodes has made already.
            cluster.api.request("POST", RUNTIME_CLASSES, {"metadata": {"name": runtime}, "handler": "kata"})
        if document["kind"] != "Queue":
            document["metadata"]["namespace"] = namespace
        path = collection_path(document["kind"], document["metadata"].get("namespace", ""))
        answer = cluster.api.request("POST", f"{path}?dryRun=All", document)
        assert answer["metadata"]["uid"]


def commands(text: str) -> str:
    """The first block of a page, which is of commands."""
    found = re.search(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_example_of_the_page_about_gpus_runs_by_its_commands(tmp_path: Path) -> None:
    queue = next(text for _, text in BLOCKS if "kind: Queue" in text)
    example = next(text for _, text in BLOCKS if "big-memory" in text)
    (tmp_path / "example.yaml").write_text(f"{queue}---\n{example}")
    pod = next(one["metadata"]["name"] for one in yaml.safe_load_all(example) if one["kind"] == "Pod")
    ended_well = f"kubectl wait --for=condition=PodScheduled pod/{pod} --timeout=60s"

    with a_shell(tmp_path) as shell:
        ended = shell.run(f"{commands(PAGE)}\n{ended_well}\nkill $!")

    assert ended.returncode == 0, shell.told(ended)
    assert f"pod/{pod} condition met" in ended.stdout
