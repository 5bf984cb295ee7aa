"""The differential fuzz, as long as CI can wait: verdicts and devices equal to the release's, expressions too."""

import pytest

from kai_sched.api.dra_allocation import allocation_document
from tests.fuzz.cases import random_case
from tests.fuzz.differential import Answer, compare, our_answer, reference_answer
from tests.fuzz.expressions import compare_expressions
from tests.fuzz.reference import a_reference
from tests.unit.devices.dra import a_claim_document, a_class, a_device, a_listed_request, a_request, a_slice

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
CASES = 300


@pytest.fixture(scope="module")
def reference():
    with a_reference() as running:
        yield running


def test_300_random_cases_get_the_verdicts_and_devices_of_the_release(reference):
    kinds, differences = compare(range(CASES), reference)

    assert differences == []
    assert set(kinds) == {"allocated", "no fit", "error"}
    assert min(kinds.values()) >= CASES // 10


def test_300_random_expressions_end_as_in_the_release(reference):
    kinds, differences = compare_expressions(range(CASES), reference)

    assert differences == []
    assert set(kinds) == {"match", "no match", "run-time error", "compile error"}


def test_mode_all_refuses_where_a_shared_device_is_full_as_the_release_does(reference):
    """The one case of the reference's table that the release answers otherwise."""
    policy = {"default": "1", "validRange": {"min": "1", "max": "4", "step": "1"}}
    shared = {
        "allowMultipleAllocations": True,
        "capacity": {"memory": {"value": "4", "requestPolicy": policy}},
    }
    devices = (a_device("full", **shared), a_device("free", **shared))
    claim = a_claim_document(a_request(allocationMode="All", capacity={"requests": {"memory": "2"}}))
    case = {
        "node": {"metadata": {"name": "n1"}},
        "deviceClasses": [a_class()],
        "resourceSlices": [a_slice(*devices)],
        "claims": [claim],
        "aggregatedCapacity": {"gpu.example.com/n1/full": {"memory": "3"}},
        "allocatedSharedDeviceIDs": ["gpu.example.com/n1/full/share"],
    }
    roomy = {**case, "aggregatedCapacity": {"gpu.example.com/n1/full": {"memory": "2"}}}

    assert reference_answer(case, reference) == our_answer(case) == Answer("no fit")
    assert reference_answer(roomy, reference) == our_answer(roomy)
    assert our_answer(roomy).kind == "allocated"


@pytest.mark.parametrize(
    ("devices", "request_", "kind"),
    [
        (40, {"count": 32}, "allocated"),
        (40, {"count": 33}, "error"),
        (40, {"allocationMode": "All"}, "error"),
        (32, {"allocationMode": "All"}, "allocated"),
        (33, {"allocationMode": "All"}, "error"),
        (40, {"allocationMode": "All", "adminAccess": True}, "error"),
        (40, {"firstAvailable": [33, 32]}, "allocated"),
        (40, {"firstAvailable": [33, 34]}, "error"),
    ],
)
def test_the_limit_of_32_devices_is_the_releases(reference, devices, request_, kind):
    if "firstAvailable" in request_:
        subs = [a_request(f"sub-{count}", count=count) for count in request_["firstAvailable"]]
        wanted = a_listed_request("r", *subs)
    else:
        wanted = a_request("r", **request_)
    case = {
        "node": {"metadata": {"name": "n1"}},
        "deviceClasses": [a_class()],
        "resourceSlices": [a_slice(*(a_device(f"d{number:02}") for number in range(devices)))],
        "claims": [a_claim_document(wanted)],
    }

    theirs = reference_answer(case, reference)

    assert theirs.kind == kind
    assert our_answer(case) == theirs


def test_the_comparison_notices_another_device(reference, monkeypatch):
    """The judge itself: with one device renamed on our side the fuzz must complain."""

    def renamed(allocation):
        document = allocation_document(allocation)
        for result in document["devices"].get("results", ()):
            result["device"] = f"{result['device']}-renamed"
        return document

    monkeypatch.setattr("tests.fuzz.differential.allocation_document", renamed)

    kinds, differences = compare(range(20), reference)

    assert len(differences) == kinds["allocated"] > 0


def test_a_seed_is_one_case():
    assert random_case(7) == random_case(7)
    assert random_case(7) != random_case(8)
