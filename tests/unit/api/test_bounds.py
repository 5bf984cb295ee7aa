"""Every number, list and name is bounded where it is read; what is beyond is refused with the field and the limit."""

from __future__ import annotations

import orjson
import pytest

from kai_sched.api.dra import translate_claim
from kai_sched.api.objects import ObjectSet
from kai_sched.api.plan_document import share_documents
from kai_sched.api.settings import load_settings
from kai_sched.api.shard_policy import policy_of
from kai_sched.api.translate import SpecInterner, TranslateContext, translate_pod, translate_queue
from kai_sched.api.translate.fields import readable
from kai_sched.errors import InvalidInput
from kai_sched.model.ids import QueueName
from kai_sched.model.queues import QueueShare, QuotaVector
from kai_sched.model.snapshot import Unreadable
from kai_sched.model.workloads import Pod
from tests.documents import a_pod_document, a_queue_document, a_shard_document
from tests.unit.devices.dra import a_claim_document, a_request

QUEUE = {"kai.scheduler/queue": "team-a"}


@pytest.mark.parametrize("count", [2**31, 2**63 - 1])
def test_a_claim_for_more_devices_than_there_can_be_is_refused_by_name_of_the_limit(count: int) -> None:
    claim = a_claim_document(a_request(count=count))

    problem = readable("ResourceClaim", translate_claim, claim)

    assert isinstance(problem, Unreadable)
    assert problem.field.startswith("spec.devices.requests[")
    assert "is more than 1000000" in problem.reason


@pytest.mark.parametrize("amount", [2.0**63, 1e308, float("inf"), -1e300])
def test_a_quota_beyond_anything_is_refused_and_one_of_all_bits_is_not(amount: float) -> None:
    queue = a_queue_document()
    queue["spec"]["resources"]["gpu"]["limit"] = amount

    read = translate_queue(queue)

    assert isinstance(read, Unreadable) == (abs(amount) > 2.0**63)
    assert not isinstance(read, Unreadable) or read.field == "spec.resources.gpu.limit"


def test_amounts_beyond_64_bits_are_still_json() -> None:
    documents = share_documents(
        (
            QueueShare(
                queue=QueueName("q"),
                deserved=QuotaVector(2.0**64, -1, 0.5),
                limit=QuotaVector(1e25, float("inf"), 7),
                fair_share=QuotaVector(),
                allocated=QuotaVector(),
                allocated_non_preemptible=QuotaVector(),
                requested=QuotaVector(2.0**70),
            ),
        )
    )

    assert orjson.loads(orjson.dumps(documents))[0]["requested"] == 2.0**70


def test_containers_that_ask_for_too_much_only_together_are_refused() -> None:
    pod = a_pod_document("odd", labels=QUEUE)
    container = {"name": "c", "resources": {"requests": {"memory": str(2**50)}}}
    pod["spec"]["containers"] = [container | {"name": f"c{number}"} for number in range(3)]

    read = translate_pod(pod, TranslateContext(), SpecInterner())

    assert isinstance(read, Pod)
    assert read.problem == "spec.containers: ask together for more memory than any machine has"


@pytest.mark.parametrize("number", ["9" * 30, "inf", "nan", "1e999", "0x1f", ""])
def test_a_shard_takes_no_number_that_is_none(number: str) -> None:
    for spec in (
        {"args": {"max-consolidation-preemptees": number}},
        {"plugins": {"proportion": {"arguments": {"kValue": number}}}},
    ):
        with pytest.raises(InvalidInput):
            policy_of(ObjectSet([a_shard_document(**spec)]), load_settings(None))


def terms(count: int) -> dict[str, object]:
    term = {"matchExpressions": [{"key": "rank", "operator": "Exists"}]}
    required = {"nodeSelectorTerms": [term] * count}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def test_a_pod_of_more_terms_than_are_read_is_told_so() -> None:
    for count, problem in ((256, ""), (257, "has 257 entries, more than the 256 that are read")):
        read = translate_pod(
            a_pod_document("odd", labels=QUEUE, spec=terms(count)), TranslateContext(), SpecInterner()
        )

        assert isinstance(read, Pod)
        assert read.problem.endswith(problem)
        assert bool(read.problem) == bool(problem)


def test_a_megabyte_of_text_in_a_pod_makes_a_problem_of_a_line() -> None:
    pod = a_pod_document("odd", labels=QUEUE, spec={"priority": 1, "tolerations": "x" * 1_000_000})
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "\x1b[31m" * 200_000}}

    read = translate_pod(pod, TranslateContext(), SpecInterner())

    assert isinstance(read, Pod)
    assert 0 < len(read.problem) <= 1000
    assert "\x1b" not in read.problem


def test_a_pod_names_no_group_by_a_text_that_no_group_can_have() -> None:
    name = "\x1b]0;pwned\x07\nFAKE LINE default/other Placed" * 1000
    pod = a_pod_document("odd", annotations={"pod-group-name": name})

    read = translate_pod(pod, TranslateContext(), SpecInterner())

    assert isinstance(read, Pod)
    assert read.group is not None
    assert len(read.group) < 400
    assert read.group.isprintable()
