"""Bad input to commands: exit code 2 and one line that names what is wrong; nothing else, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from tests.documents import a_node_document, a_pod_document, a_queue_document, a_shard_document
from tests.unit.cli.conftest import Run

KUBECONFIGS = {
    "empty": "",
    "list": "[1, 2]",
    "torn": "apiVersion: v1\nclusters: [{",
    "text": "hello",
    "no-clusters": "apiVersion: v1\nkind: Config\ncurrent-context: a\n",
}


def is_one_error(text: str) -> bool:
    return text.startswith("error: ") and text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan"], ["-f"]),
        (["plan", "-f"], ["-f"]),
        (["plan", "--no-such"], ["--no-such", "kai-sched plan --help"]),
        (["plan", "-f", "{file}", "-o", "xml"], ["xml"]),
        (["plan", "-f", "{file}", "extra"], ["extra"]),
        (["simulate", "-f", "{file}", "--cycles", "many"], ["--cycles"]),
        (["simulate", "-f", "{file}", "--cycles", "9", "--tick", "1e300"], ["--tick"]),
        (["topology", "-f", "/no/such/file"], ["/no/such/file"]),
        (["plan", "-f", "examples/fleets/small.yaml"], ["a fleet is no snapshot", "dev up"]),
        (["dev", "up", "--cluster", "/no/such/file"], ["/no/such/file: No such file or directory"]),
        (["plan", "-f", "/"], ["/"]),
        (["dev", "upp"], ["upp", "kai-sched dev --help"]),
        (["run", "--config", "/no/such/file"], ["/no/such/file"]),
        (["run", "--kubeconfig", "/no/such/file"], ["/no/such/file"]),
        (["snapshot", "--kubeconfig", "/no/such/file"], ["/no/such/file"]),
        (["crds", "diff", "--kubeconfig", "/no/such/file"], ["/no/such/file"]),
        (["dev", "up", "--cluster", "/no/such/file"], ["/no/such/file"]),
    ],
    ids=" ".join,
)
def test_wrong_arguments(run: Run, racks: Path, arguments, words):
    answer = run(*(argument.replace("{file}", str(racks)) for argument in arguments))

    assert answer.code == 2
    assert answer.out == ""
    assert is_one_error(answer.err), answer.err
    assert [word for word in words if word not in answer.err] == []


@pytest.mark.parametrize("content", KUBECONFIGS.values(), ids=KUBECONFIGS)
@pytest.mark.parametrize("command", [["snapshot"], ["crds", "diff"], ["topology"], ["run"]], ids=" ".join)
def test_a_file_that_is_no_kubeconfig(run: Run, tmp_path: Path, command, content):
    file = tmp_path / "kubeconfig"
    file.write_text(content)

    answer = run(*command, "--kubeconfig", file)

    assert answer.code == 2
    assert is_one_error(answer.err), answer.err
    assert str(file) in answer.err


def test_remarks_on_a_file_do_not_stop_a_plan(run: Run, racks: Path, tmp_path: Path):
    file = tmp_path / "odd.yaml"
    file.write_text("apiVersion: scheduling.run.ai/v1\nkind: Queue\nmetadata: {name: old}\nspec: {}\n")

    answer = run("plan", "-f", racks, "-f", file, "-o", "json")

    assert answer.code == 0
    assert answer.err == f"warning: {file}: Queue old: apiVersion: v1 is not known, read as v2\n"
    assert answer.document["binds"]


def test_without_a_command_the_help_is_shown(run: Run):
    answer = run()

    assert answer.code == 2
    assert "kai-sched" in answer.out + answer.err
    assert "Traceback" not in answer.err


COMMAND = [sys.executable, "-m", "kai_sched"]


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_a_reader_that_goes_away_ends_a_command_quietly(racks: Path, form: str):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*COMMAND, "plan", "-f", str(racks), "-o", form], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (141, b"")


def test_ctrl_c_ends_a_command_quietly(tmp_path: Path):
    fifo = tmp_path / "slow.yaml"
    os.mkfifo(fifo)
    process = subprocess.Popen([*COMMAND, "plan", "-f", str(fifo)], stdout=-1, stderr=-1)
    # Opened for writing once the command reads it, and then nothing comes.
    with fifo.open("wb"):
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (130, b"", b"")


def hostile_names() -> list[dict[str, object]]:
    """A pod whose group and another whose queue are called by what a terminal obeys."""
    pods = [
        a_pod_document("p0", annotations={"pod-group-name": "\x1b]0;pwned\x07\x1b[31mRED\nFAKE LINE Placed"}),
        a_pod_document("p1", labels={"kai.scheduler/queue": "q\x1b[2Jx"}),
        a_pod_document("p2", spec={"tolerations": "\x1b[2J"}),
    ]
    return [a_node_document("n\x1b[31m1"), a_queue_document(), *pods]


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_no_name_paints_the_terminal_or_forges_a_line(run: Run, tmp_path: Path, form: str) -> None:
    file = tmp_path / "world.json"
    file.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": hostile_names()}))

    answer = run("plan", "-f", file, "-o", form)

    assert answer.code == 0
    assert not any(ord(one) < 32 and one != "\n" for one in answer.out + answer.err)
    assert not any(line.startswith("FAKE LINE") for line in answer.out.splitlines())


def test_a_key_of_a_shard_that_is_not_served_is_warned_of_and_the_rest_holds(
    run: Run, tmp_path: Path
) -> None:
    shard = a_shard_document(
        partitionLabelValue="pool-a", usageDBConfig={"clientType": "prometheus"}, args={"qps": "50"}
    )
    items = [a_node_document("n1"), a_queue_document(), a_pod_document("p"), shard]
    file = tmp_path / "world.json"
    file.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    answer = run("plan", "-f", file, "-o", "json")

    assert answer.code == 0
    warned = [line.partition("SchedulingShard default: ")[2] for line in answer.err.splitlines()]
    assert warned == [
        "spec.usageDBConfig: time-based fair share is not supported yet",
        "without effect here: spec.args.qps",
    ]
    # The node and the pod belong to no pool.
    assert (answer.document["binds"], answer.document["verdicts"]) == ([], [])
