"""``plan`` and ``simulate``: the documents of the contract, exit codes, and errors of one line."""

import io
from pathlib import Path

import pytest
import yaml

from kai_sched.cli.plan_tables import quality_text, solver_text
from tests.unit.cli.conftest import Run

VERDICTS = {"Placed", "Pipelined", "Unplaced", "NotReady"}


def changed(source: Path, target: Path, change) -> Path:
    """A copy of a snapshot with its items changed."""
    document = yaml.safe_load(source.read_text())
    change(document["items"])
    target.write_text(yaml.safe_dump(document))
    return target


def test_plan_prints_the_document_of_the_contract(run: Run, racks: Path):
    answer = run("plan", "-f", racks, "-o", "json")

    plan = answer.document
    assert answer.code == 0
    assert list(plan) == ["cycle", "now", "binds", "pipelined", "evictions", "verdicts", "shares", "solver"]
    assert plan["now"] == "2026-11-21T00:00:00Z"
    assert {bind["pod"] for bind in plan["binds"]} >= {"team/train-0", "team/train-1"}
    assert all(list(bind) == ["pod", "podGroup", "node", "gpuIndices", "claims"] for bind in plan["binds"])
    assert {verdict["verdict"] for verdict in plan["verdicts"]} <= VERDICTS
    assert {share["resource"] for share in plan["shares"]} == {"gpu", "cpu", "memory"}
    assert plan["solver"]["status"]
    assert plan["solver"]["stages"] == [{"name": "allocate"}]


def test_a_gang_bound_by_a_rack_lands_in_one(run: Run, racks: Path):
    plan = run("plan", "-f", racks, "-o", "json").document

    nodes = {bind["node"] for bind in plan["binds"] if bind["podGroup"] == "team/train"}
    assert len(nodes) == 2
    assert len({node.split("-")[0] for node in nodes}) == 1


def test_who_waits_hears_the_blocker_and_the_next_step(run: Run, racks: Path):
    plan = run("plan", "-f", racks, "-o", "json").document

    (verdict,) = [entry for entry in plan["verdicts"] if entry["podGroup"] == "team/too-big"]
    assert (verdict["verdict"], verdict["blocker"]) == ("Unplaced", "Topology")
    assert verdict["message"]
    assert verdict["nextStep"]


OWED = Path(__file__).parents[3] / "examples/snapshots/owed-share.yaml"


def test_a_plan_says_who_leaves_for_whom_and_both_hear_of_it(run: Run):
    stages = ("--stages", "allocate,reclaim")
    plan = run("plan", "-f", OWED, *stages, "-o", "json").document

    gone = [(one["pod"], one["stage"], one["beneficiary"]) for one in plan["evictions"]]
    assert gone == [(f"team/sweep-{number}", "reclaim", "team/new-model") for number in (3, 2)]
    told = {one["podGroup"]: (one["verdict"], one["message"]) for one in plan["verdicts"]}
    assert told["team/new-model"][0] == "Pipelined"
    assert "2 pods of team/sweep leave for it" in told["team/new-model"][1]
    assert (
        "2 pods leave for team/new-model, 2 pods stay: queue team-a takes back its share"
        in told["team/sweep"][1]
    )
    table = run("plan", "-f", OWED, *stages).out
    assert "Leaving" in table
    assert "team/sweep-3" in table


def test_without_the_stage_nobody_leaves_as_in_the_operator(run: Run):
    plan = run("plan", "-f", OWED, "-o", "json").document

    assert plan["evictions"] == []
    (verdict,) = plan["verdicts"]
    assert (verdict["verdict"], verdict["blocker"]) == ("Unplaced", "Capacity")


def test_simulated_the_gang_runs_next_and_all_comes_to_rest(run: Run):
    answer = run(
        "simulate", "-f", OWED, "--stages", "allocate,reclaim,preempt", "--until-stable", "-o", "json"
    )

    cycles = answer.document["cycles"]
    assert [len(cycle["evictions"]) for cycle in cycles] == [2, 0, 0]
    assert sorted(one["pod"] for one in cycles[1]["binds"]) == ["team/new-model-0", "team/new-model-1"]
    assert answer.document["fixedPointAt"] == 3


def test_two_runs_print_the_same_bytes(run: Run, racks: Path):
    assert run("plan", "-f", racks, "-o", "json").out == run("plan", "-f", racks, "-o", "json").out


def test_seconds_of_stages_come_with_timings_only(run: Run, racks: Path):
    (stage,) = run("plan", "-f", racks, "-o", "json", "--timings").document["solver"]["stages"]

    assert stage["seconds"] >= 0


def test_yaml_says_the_same_as_json(run: Run, racks: Path):
    as_yaml = yaml.safe_load(run("plan", "-f", racks, "-o", "yaml").out)

    assert as_yaml == run("plan", "-f", racks, "-o", "json").document


def test_the_table_fits_the_width_that_columns_says(run: Run, racks: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")

    answer = run("plan", "-f", racks)

    assert answer.code == 0
    assert "team/too-big Unplaced Topology" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80


def test_each_file_is_a_world_of_its_own(run: Run, racks: Path, tmp_path: Path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: [")

    answer = run("plan", "--each", "-f", racks, "-f", broken, "-f", racks)

    first, error, last = answer.lines
    assert answer.code == 2
    assert first == last
    assert first["file"] == str(racks)
    assert list(error) == ["file", "error"]


def test_the_instant_is_taken_from_the_option(run: Run, racks: Path):
    plan = run("plan", "-f", racks, "--now", "2030-01-01T00:00:00Z", "-o", "json").document

    assert plan["now"] == "2030-01-01T00:00:00Z"


@pytest.mark.parametrize("command", [("plan",), ("simulate", "--cycles", "1")])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--stages", "allocate,consolidate"), "stage consolidate is not built yet"),
        (("--stages", "guess"), "no stage 'guess'"),
        (("--now", "yesterday"), "--now"),
        (("--shard", "nowhere"), "nowhere"),
    ],
)
def test_a_wrong_option_ends_with_one_line_and_code_two(run: Run, racks: Path, command, arguments, said):
    answer = run(*command, "-f", racks, *arguments)

    assert answer.code == 2
    assert answer.out == ""
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_file_that_is_missing_is_named(run: Run, tmp_path: Path):
    answer = run("plan", "-f", tmp_path / "none.yaml")

    assert answer.code == 2
    assert "none.yaml" in answer.err


def test_an_object_that_cannot_be_read_is_named_and_hurts_nobody(run: Run, racks: Path, tmp_path: Path):
    def break_one(items):
        items[1]["status"]["allocatable"]["cpu"] = "many"

    answer = run("plan", "-f", changed(racks, tmp_path / "s.yaml", break_one), "-o", "json")

    assert answer.code == 0
    assert "r0-n1" in answer.err
    assert "cpu" in answer.err
    assert answer.document["binds"]


def test_simulate_runs_to_the_fixed_point(run: Run, racks: Path):
    answer = run("simulate", "-f", racks, "--until-stable", "-o", "json")

    document = answer.document
    assert answer.code == 0
    assert list(document) == ["cycles", "final", "fixedPointAt"]
    assert document["fixedPointAt"] == len(document["cycles"])
    phases = {pod["pod"]: pod["phase"] for pod in document["final"]["pods"]}
    assert phases["team/train-0"] == "Running"
    assert phases["team/too-big-0"] == "Pending"
    assert document["final"]["queues"]


def test_simulate_runs_exactly_as_many_cycles_as_asked(run: Run, racks: Path):
    document = run("simulate", "-f", racks, "--cycles", 3, "--tick", 60, "-o", "json").document

    assert [plan["cycle"] for plan in document["cycles"]] == [1, 2, 3]
    assert [plan["now"][-6:] for plan in document["cycles"]] == ["00:00Z", "01:00Z", "02:00Z"]


def test_room_that_comes_free_makes_a_gang_pipelined_and_then_placed(run: Run, racks: Path, tmp_path: Path):
    def leave(items):
        for item in items:
            if item["kind"] == "Pod":
                item["metadata"]["namespace"] = "team"
        gone = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"gone-{number}",
                    "namespace": "team",
                    "deletionTimestamp": "2026-11-21T00:00:10Z",
                    "deletionGracePeriodSeconds": 30,
                },
                "spec": {
                    "nodeName": node,
                    "containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "8"}}}],
                },
                "status": {"phase": "Running"},
            }
            for number, node in enumerate(("r0-n0", "r0-n1", "r1-n0", "r1-n1"))
        ]
        items.extend(gone)

    answer = run("simulate", "-f", changed(racks, tmp_path / "s.yaml", leave), "--until-stable", "-o", "json")

    first, second = answer.document["cycles"][:2]
    waiting = {row["pod"]: row["waitsFor"] for row in first["pipelined"]}
    assert set(waiting) >= {"team/train-0", "team/train-1"}
    assert all(pods and pods[0].startswith("team/gone-") for pods in waiting.values())
    outcome = {entry["podGroup"]: entry["verdict"] for entry in first["verdicts"]}
    assert outcome["team/train"] == "Pipelined"
    assert {bind["pod"] for bind in second["binds"]} >= {"team/train-0", "team/train-1"}


def test_a_group_that_lacks_pods_is_not_ready(run: Run, racks: Path, tmp_path: Path):
    def take_one(items):
        items[:] = [item for item in items if item["metadata"]["name"] != "train-1"]

    plan = run("plan", "-f", changed(racks, tmp_path / "s.yaml", take_one), "-o", "json").document

    (verdict,) = [entry for entry in plan["verdicts"] if entry["podGroup"] == "team/train"]
    assert (verdict["verdict"], verdict["blocker"]) == ("NotReady", "GangNotReady")


@pytest.mark.parametrize("arguments", [(), ("--cycles", 2, "--until-stable")])
def test_simulate_wants_one_way_to_end(run: Run, racks: Path, arguments):
    answer = run("simulate", "-f", racks, *arguments)

    assert answer.code == 2
    assert "exactly one of --cycles and --until-stable" in answer.err


@pytest.mark.parametrize("tick", ["1e300", "inf", "1e12"])
def test_a_tick_that_leaves_the_calendar_is_refused(run: Run, racks: Path, tick: str):
    answer = run("simulate", "-f", racks, "--cycles", "2", "--tick", tick, "-o", "json")

    assert answer.code == 2
    assert answer.err == "error: --tick: the last cycle would be after the year 9999\n"


def test_into_a_pipe_every_object_is_one_line(run: Run, tmp_path: Path):
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{'long-' * 30}{number}", "namespace": "team"},
            "spec": {"schedulerName": "kai-scheduler", "containers": [{"name": "c"}]},
        }
        for number in range(60)
    ]
    file = tmp_path / "pods.yaml"
    file.write_text(yaml.safe_dump_all(pods))

    out = run("plan", "-f", file).out

    told = [line for line in out.splitlines() if line.startswith("team/long-")]
    assert len(told) == 60
    assert all(line.endswith("QueueNotFound") or " QueueNotFound" in line for line in told)


def test_standard_input_is_a_file_like_others(run: Run, racks: Path, monkeypatch: pytest.MonkeyPatch):
    given = io.TextIOWrapper(io.BytesIO(racks.read_bytes()))
    monkeypatch.setattr("sys.stdin", given)

    assert run("plan", "-f", "-", "-o", "json").document == run("plan", "-f", racks, "-o", "json").document


def test_one_namespace_of_what_is_decided_for_all(run: Run, racks: Path):
    everything = run("plan", "-f", racks, "-o", "json").document
    team = run("plan", "-f", racks, "-n", "team", "-o", "json").document
    nobody = run("plan", "-f", racks, "-n", "tea", "-o", "json").document

    assert team["binds"] == everything["binds"]
    assert (nobody["binds"], nobody["verdicts"]) == ([], [])
    assert nobody["shares"] == everything["shares"]


def test_what_a_file_holds_and_cannot_be_decided_is_said(run: Run, tmp_path: Path):
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train", "namespace": "team"}}
    cluster = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": "r", "namespace": "team"},
    }
    group = {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": "g", "namespace": "team"},
        "spec": {"queue": "q", "minMembers": 2, "subGroups": [{"name": "a", "minMembers": 1}]},
    }
    file = tmp_path / "work.yaml"
    file.write_text(yaml.safe_dump_all([job, cluster, group]))

    said = run("plan", "-f", file).err

    assert "1 Job has no pods yet and cannot be decided: add its pods to the file (team/train)" in said
    assert "1 RayCluster.ray.io not read" in said
    assert "PodGroup team/g: spec.minMembers is not a field of this kind and has no effect" in said
    assert "spec.subGroups[0].minMembers is not a field" in said
    assert "(did you mean minMember?)" in said


def test_long_sentences_go_on_under_their_beginning(run: Run, racks: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("plan", "-f", racks).out.splitlines()

    sentence = next(number for number, line in enumerate(lines) if line.startswith("  Resources were found"))
    assert lines[sentence + 1].startswith("    Additional pods")


def test_a_bound_is_named_only_where_it_is_not_reached():
    text = solver_text(
        "FEASIBLE", {"gangsRescued": 0, "surplusDomains": 3}, {"gangsRescued": 0, "surplusDomains": 1}
    )

    assert text == "solver FEASIBLE: gangsRescued 0, surplusDomains 3 (at best 1)"
    assert solver_text("GREEDY", {}, {}) == "solver GREEDY"


def test_how_good_a_plan_is_can_be_said_without_tiers():
    best = {"gangsRescued": 0, "gangsOfPriority50": 2, "openedNodes": 1}

    assert "proven the best" in quality_text("OPTIMAL", best, best)
    assert quality_text("FEASIBLE", best, {**best, "openedNodes": 0}) == (
        "Proven: no plan places more gangs. How they lie may not be the best (nodes used that were all free: 1, 0 not "
        "ruled out)."
    )
    assert quality_text("FEASIBLE", best, {**best, "gangsRescued": 1}).startswith("It is not ruled out")
    assert "no time" in quality_text("GREEDY", best, {})
