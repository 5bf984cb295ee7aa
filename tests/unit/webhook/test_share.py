"""A part of a GPU as a claim: the template, the patch, and what is left as it is."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.errors import ApiFailure
from kai_sched.model.workloads import GpuShare
from kai_sched.webhook.realise import Templates
from kai_sched.webhook.review import Reviewer
from kai_sched.webhook.share import Given, Sharing, patch_of, template_of
from tests.documents import a_pod_document
from tests.unit.webhook.clusters import Cluster, a_device, patched

GIB = 1 << 30
SHARING = Sharing(device_class="gpu", mps=("gpu.example.com", '{"sharing": "MPS"}'))
Raw = dict[str, Any]


class Desk(Cluster):
    """A reviewer with the devices and templates of a small cluster."""

    def __init__(self, largest: int = 80 * GIB, failure: ApiFailure | None = None) -> None:
        devices = [a_device(largest, is_shareable=True)] if largest else []
        super().__init__(*devices, failure=failure)

    async def review(self, pod: Raw, **request: Any) -> Raw:
        reviewer = Reviewer("kai-scheduler", Templates(self, SHARING, 60.0, lambda: 1000.0))
        review = {"request": {"uid": "u", "namespace": "team", "object": pod, **request}}
        answer = await reviewer.answer(review)
        assert answer["response"]["uid"] == "u"
        assert answer["response"]["allowed"] is True
        response: Raw = answer["response"]
        return response


def requests_of(template: Raw) -> Raw:
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    exactly: Raw = request["exactly"]
    return exactly


async def test_a_fraction_becomes_a_claim_of_that_part_of_the_largest_device() -> None:
    desk = Desk()
    pod = a_pod_document(annotations={"gpu-fraction": "0.25", "other": "kept"})

    response = await desk.review(pod)

    (template,) = desk.made
    assert requests_of(template)["capacity"] == {"requests": {"memory": f"{20 * 1024}Mi"}}
    assert requests_of(template)["count"] == 1
    after = patched(pod, response)
    assert after["metadata"]["labels"]["kai-sched.dev/gpu-share"] == template["metadata"]["name"]
    assert after["metadata"]["annotations"] == {"kai-sched.dev/gpu-fraction": "0.25", "other": "kept"}
    name = template["metadata"]["name"]
    assert after["spec"]["resourceClaims"] == [{"name": "gpu-share", "resourceClaimTemplateName": name}]
    assert after["spec"]["containers"][0]["resources"]["claims"] == [{"name": "gpu-share"}]


async def test_an_amount_of_memory_is_asked_for_as_it_is() -> None:
    desk = Desk()

    await desk.review(a_pod_document(annotations={"gpu-memory": "4096"}))

    assert requests_of(desk.made[0])["capacity"] == {"requests": {"memory": "4096Mi"}}


async def test_parts_of_several_gpus_lie_on_different_devices() -> None:
    desk = Desk()

    await desk.review(a_pod_document(annotations={"gpu-fraction": "0.5", "gpu-fraction-num-devices": "3"}))

    assert requests_of(desk.made[0])["count"] == 3
    (constraint,) = desk.made[0]["spec"]["spec"]["devices"]["constraints"]
    assert constraint["distinctAttribute"] == "resource.kubernetes.io/pciBusID"


async def test_mps_is_the_configuration_that_the_settings_name() -> None:
    desk = Desk()

    await desk.review(a_pod_document(annotations={"gpu-fraction": "0.5", "mps": "true"}))

    (config,) = desk.made[0]["spec"]["spec"]["devices"]["config"]
    assert config["opaque"] == {"driver": "gpu.example.com", "parameters": {"sharing": "MPS"}}


async def test_the_named_container_gets_the_claim_beside_those_it_has() -> None:
    pod = a_pod_document(
        annotations={"gpu-fraction": "0.5", "gpu-fraction-container-name": "second"},
        spec={
            "containers": [{"name": "first"}, {"name": "second", "resources": {"claims": [{"name": "nic"}]}}],
            "resourceClaims": [{"name": "nic", "resourceClaimName": "nic"}],
        },
    )

    after = patched(pod, await Desk().review(pod))

    assert "resources" not in after["spec"]["containers"][0]
    assert after["spec"]["containers"][1]["resources"]["claims"] == [{"name": "nic"}, {"name": "gpu-share"}]
    assert [claim["name"] for claim in after["spec"]["resourceClaims"]] == ["nic", "gpu-share"]


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [
        ({}, {}),
        ({"other": "x"}, {}),
        ({"gpu-fraction": "0.5"}, {"schedulerName": "default-scheduler"}),
    ],
)
async def test_pods_that_ask_for_no_part_or_another_scheduler_are_left_alone(
    annotations: dict[str, str], spec: Raw
) -> None:
    response = await Desk().review(a_pod_document(annotations=annotations, spec=spec))

    assert response.keys() == {"uid", "allowed"}


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        ({"gpu-fraction": "2"}, "gpu-fraction"),
        ({"gpu-fraction": "0.5", "gpu-fraction-container-name": "none"}, "gpu-fraction-container-name"),
    ],
)
async def test_a_wrong_annotation_is_told_and_left_for_the_verdict(
    annotations: dict[str, str], told: str
) -> None:
    response = await Desk().review(a_pod_document(annotations=annotations))

    assert "patch" not in response
    assert told in response["warnings"][0]


async def test_without_a_shareable_device_the_pod_is_left_for_the_verdict() -> None:
    response = await Desk(largest=0).review(a_pod_document(annotations={"gpu-fraction": "0.5"}))

    assert "patch" not in response
    assert "no device of class gpu can be shared" in response["warnings"][0]


async def test_an_api_server_that_refuses_the_template_leaves_the_pod_as_it_is() -> None:
    desk = Desk(failure=ApiFailure("403 forbidden", status=403, reason="Forbidden", retryable=False))

    response = await desk.review(a_pod_document(annotations={"gpu-fraction": "0.5"}))

    assert "patch" not in response
    assert "403 forbidden" in response["warnings"][0]


async def test_a_dry_run_makes_no_template() -> None:
    desk = Desk()

    response = await desk.review(a_pod_document(annotations={"gpu-fraction": "0.5"}), dryRun=True)

    assert desk.made == []
    assert "patch" in response


async def test_a_pod_that_was_changed_already_is_not_changed_again() -> None:
    pod = a_pod_document(annotations={"gpu-fraction": "0.5"})
    desk = Desk()

    after = patched(pod, await desk.review(pod))

    assert (await desk.review(after)).keys() == {"uid", "allowed"}


def test_equal_shares_share_a_template_and_different_ones_do_not() -> None:
    names = {
        template_of(share, "team", 80 * GIB, SHARING)["metadata"]["name"]
        for share in (
            GpuShare(portion_micros=500_000),
            GpuShare(memory_mib=40 * 1024),
            GpuShare(portion_micros=250_000),
        )
    }

    assert len(names) == 2


def test_a_container_without_resources_gets_some() -> None:
    steps = patch_of(
        a_pod_document(spec={"containers": [{"name": "main"}]}), Given("resourceClaimTemplateName", "t")
    )

    assert {"op": "add", "path": "/spec/containers/0/resources", "value": {}} in steps


def test_parts_that_make_one_device_on_paper_fit_on_it() -> None:
    largest = 81_559 << 20
    parts = [GpuShare(portion_micros=millis * 1000) for millis in (250, 250, 333, 167)]

    asked = [requests_of(template_of(part, "team", largest, SHARING)) for part in parts]

    mebibytes = [int(one["capacity"]["requests"]["memory"].removesuffix("Mi")) for one in asked]
    assert sum(mebibytes) <= 81_559
