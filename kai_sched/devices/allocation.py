"""``allocate``: devices for a set of claims on one node, as the reference allocator gives them.

Reference: k8s.io/dynamic-resource-allocation v0.37.1, incubating feature set. Pure: the state is not changed; take the
result into it with ``DeviceState.take``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from kai_sched.devices.attempt import Attempt, Taken
from kai_sched.devices.choice import DevicePreference, Improver
from kai_sched.devices.closures import OPEN
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.outlook import Outlook
from kai_sched.devices.plain import grant_plain
from kai_sched.devices.pools import Pool
from kai_sched.devices.recall import Answer, Query, recall_of
from kai_sched.devices.refusal import DeviceRefusal, RefusalKind, Refused, claim_text
from kai_sched.devices.requests import PreparedClaim, PreparedRequest, Selection, prepare_claim
from kai_sched.devices.results import allocation_of
from kai_sched.devices.search import Search
from kai_sched.devices.state import DeviceState
from kai_sched.model.devices import Claim, ClaimAllocation
from kai_sched.model.nodes import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to allocate."""

    now: float = 0.0
    max_steps: int = 100_000
    """Of one search; where the turn of its pod allows less, that is the limit."""
    bug_compatible: bool = False
    """Copy the known bugs of the reference's test table, for comparing with it."""
    preference: DevicePreference | None = None
    """None: the reference's own devices."""
    closure: int = OPEN
    """What is closed to the pod that asks, a number of ``DeviceIndex.closures``."""
    held: frozenset[int] = frozenset()
    """Devices (ordinals) that the pod has by claims allocated before."""
    uses_shortcuts: bool = True
    """False: every claim is searched for anew, for comparing: nothing is counted or recalled."""


DEFAULT_OPTIONS: Final = Options()
_ALONE_STEPS: Final = 5_000
_UNITS_A_CALL: Final = 3
_DEVICES_A_UNIT: Final = 10
"""Of a node whose devices are prepared for a search."""


def allocate(
    index: DeviceIndex,
    state: DeviceState,
    node: Node,
    claims: Sequence[Claim],
    options: Options = DEFAULT_OPTIONS,
) -> tuple[ClaimAllocation, ...] | DeviceRefusal:
    """One allocation for each claim, or why there is none on this node. Claims must not be allocated yet."""
    if not claims:
        return ()
    pools = index.pools_of(node)
    meter = state.meter
    meter.charge(_UNITS_A_CALL * len(claims))
    if not meter.is_generous and options.preference is not None:
        options = replace(options, preference=None)
    query: Query | None = None
    bundle = index.closures.bundle(options.closure, node.name) - options.held
    if options.uses_shortcuts and not options.bug_compatible and not bundle:
        plain = grant_plain(index, state, node, claims, options.preference, options.closure)
        if isinstance(plain, list):
            return tuple(allocation_of(*granted, node, index.features, options.now) for granted in plain)
        if plain is False:
            return _no_fit(claims, pools)
        query = recall_of(index).query(index, state, node, claims, options.preference, options.closure)
    meter.charge(sum(len(pool.devices) for pool in pools) // _DEVICES_A_UNIT)
    selection = Selection(index, pools, meter, options.closure)
    answer = _answered(_Question(index, state, pools, selection, options, bundle), query, claims)
    if isinstance(answer, DeviceRefusal):
        return answer
    if answer.found is None:
        return _no_fit(claims, pools)
    return tuple(allocation_of(*part, node, index.features, options.now) for part in answer.found)


def _answered(question: _Question, query: Query | None, claims: Sequence[Claim]) -> Answer | DeviceRefusal:
    """What is remembered or searched for, charged alike; a refusal where it fails or takes more steps than allowed."""
    meter = question.state.meter
    allowance = meter.search_allowance(question.options.max_steps)
    identity = None if query is None else query.identity
    tried = meter.given_up_after(identity)
    if identity is not None and tried >= allowance:
        return _given_up(claims, tried)
    answer = None if query is None else query.answer(claims)
    if answer is None or (answer.is_unfinished and answer.steps < allowance):
        found = _searched(question, claims, allowance)
        if isinstance(found, DeviceRefusal):
            return found
        answer = found
        if query is not None:
            query.keep(answer)
    if identity is not None and meter.has_searched(identity):
        return answer
    if answer.is_unfinished or answer.steps > allowance:
        meter.count_search(allowance, identity, is_given_up=True)
        return _given_up(claims, allowance)
    meter.count_search(answer.steps, identity)
    meter.charge(answer.units)
    return answer


def _searched(question: _Question, claims: Sequence[Claim], allowance: int) -> Answer | DeviceRefusal:
    """The search itself, and then the trading of devices for better ones."""
    prepared: list[PreparedClaim] = []
    culprit = claims[0]
    search: Search | None = None
    try:
        for claim in claims:
            culprit = claim
            prepared.append(prepare_claim(claim, question.pools, question.selection))
        search = question.search(tuple(prepared), allowance, question.bundle)
        is_found = search.run()
    except Refused as refused:
        culprit = culprit if search is None else claims[search.current]
        if search is not None and refused.kind is RefusalKind.BUDGET and search.steps > allowance:
            return Answer(allowance, None, is_unfinished=True)
        if search is not None:
            question.state.meter.count_search(search.steps)
        return DeviceRefusal(
            kind=refused.kind,
            claim=culprit.key,
            request=refused.request,
            message=str(refused),
            device=refused.device,
            next_step=refused.next_step,
        )
    if not is_found:
        return Answer(search.steps, None)
    taken, units = question.improved(prepared, search.attempt.results)
    chosen = [_chosen(claim, number, search) for number, claim in enumerate(prepared)]
    return Answer(search.steps, tuple(zip(prepared, chosen, taken, strict=True)), units)


@dataclass(frozen=True, slots=True)
class _Question:
    """A node and what is held there: what searches for claims on it have in common."""

    index: DeviceIndex
    state: DeviceState
    pools: tuple[Pool, ...]
    selection: Selection
    options: Options
    bundle: frozenset[int]

    def search(
        self, claims: tuple[PreparedClaim, ...], max_steps: int, bundle: frozenset[int] = frozenset()
    ) -> Search:
        new_attempt = partial(
            Attempt, self.index, self.state, self.pools, claims, bug_compatible=self.options.bug_compatible
        )
        outlook = Outlook(claims, self.selection, new_attempt, self._is_served_alone)
        return Search(claims, new_attempt(), self.selection, outlook, max_steps, bundle)

    def improved(
        self, claims: list[PreparedClaim], taken: list[list[Taken]]
    ) -> tuple[list[list[Taken]], int]:
        """The same devices, or better ones by the preference; and the work that looking for them took."""
        preference = self.options.preference
        # Of what goes together there is no other choice, and the rest is not worth a check of its own.
        if preference is None or self.bundle:
            return taken, 0
        improver = Improver(self.index, self.state, self.pools, claims, self.selection, preference)
        return improver.improved(taken), improver.units

    def _is_served_alone(self, claim: PreparedClaim) -> bool:
        """Raises Refused where the search for it ends so."""
        return self.options.bug_compatible or self.search((claim,), _ALONE_STEPS).run()


def _chosen(claim: PreparedClaim, number: int, search: Search) -> list[PreparedRequest]:
    return [
        alternatives[search.chosen.get((number, position), 0)]
        for position, alternatives in enumerate(claim.requests)
    ]


def _given_up(claims: Sequence[Claim], steps: int) -> DeviceRefusal:
    names = ", ".join(map(claim_text, claims))
    return DeviceRefusal(
        kind=RefusalKind.BUDGET,
        claim=claims[0].key,
        request="",
        message=f"claim {names}: the device search was given up after {steps} steps",
        next_step="ask for fewer devices or with fewer constraints: this search takes more steps than one cycle allows",
    )


def _no_fit(claims: Sequence[Claim], pools: Sequence[Pool]) -> DeviceRefusal:
    invalid = next((pool for pool in pools if pool.invalid_reason), None)
    names = ", ".join(claim.key.lstrip("/") for claim in claims)
    message = f"claim {names}: no free devices on this node satisfy all requests together"
    if invalid is not None:
        message = f"claim {names}: invalid resource pools were encountered: {invalid.text}: {invalid.invalid_reason}"
    return DeviceRefusal(kind=RefusalKind.NO_FIT, claim=claims[0].key, request="", message=message)
