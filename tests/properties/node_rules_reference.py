"""The rules by which a node may take a pod, said for one node and one pod at a time, without arrays, tallies or caches."""

from kai_sched.model.selectors import (
    Operator,
    Taint,
)


def holds(requirement, value):
    wanted = requirement.values
    match requirement.operator:
        case Operator.IN:
            return bool(wanted) and value in wanted
        case Operator.NOT_IN:
            return bool(wanted) and value not in wanted
        case Operator.EXISTS:
            return not wanted and value is not None
        case Operator.DOES_NOT_EXIST:
            return not wanted and value is None
        case _:
            if len(wanted) != 1 or not wanted[0].isdigit() or value is None or not value.isdigit():
                return False
            more = int(value) > int(wanted[0])
            less = int(value) < int(wanted[0])
            return more if requirement.operator is Operator.GT else less


def tolerated(taint, tolerations):
    for toleration in tolerations:
        if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
            continue
        if toleration.operator == "Exists":
            return True
        if toleration.operator in ("", "Equal") and toleration.value == taint.value:
            return True
        if toleration.operator in ("Gt", "Lt") and toleration.value.isdigit() and taint.value.isdigit():
            difference = int(taint.value) - int(toleration.value)
            if difference > 0 if toleration.operator == "Gt" else difference < 0:
                return True
    return False


def untainted(node, spec):
    return all(
        taint.effect == "PreferNoSchedule" or tolerated(taint, spec.tolerations) for taint in node.taints
    )


def selected(node, spec):
    labels = dict(node.labels)
    if any(labels.get(key) != value for key, value in spec.node_selector):
        return False
    if spec.required_node_affinity is None:
        return True
    for term in spec.required_node_affinity.terms:
        parts = [holds(each, labels.get(each.key)) for each in term.expressions]
        parts += [len(each.values) == 1 and holds(each, node.name) for each in term.fields]
        if parts and all(parts):
            return True
    return False


def may_run_alone(node, spec):
    cordon = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
    sick = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")
    if node.is_cordoned and not tolerated(cordon, spec.tolerations):
        return False
    if not node.is_ready and not tolerated(sick, spec.tolerations):
        return False
    return untainted(node, spec) and selected(node, spec)


def speaks_of(selector, spec):
    labels = dict(spec.labels)
    return selector is not None and all(holds(each, labels.get(each.key)) for each in selector.requirements)


def term_speaks_of(term, spec):
    return (not term.namespaces or spec.namespace in term.namespaces) and speaks_of(term.selector, spec)


def hard(terms):
    return [term for term in terms if term.weight == 0]


def same_place(one, other, key):
    mine, theirs = dict(one.labels), dict(other.labels)
    return key in mine and key in theirs and mine[key] == theirs[key]


def ports_free(node, spec, residents):
    for other, where in residents:
        for mine in spec.host_ports:
            for theirs in other.host_ports:
                overlap = mine.host_ip == theirs.host_ip or {mine.host_ip, theirs.host_ip} & {"", "0.0.0.0"}
                if where is node and (mine.port, mine.protocol) == (theirs.port, theirs.protocol) and overlap:
                    return False
    return True


def disks_free(node, spec, residents):
    for other, where in residents:
        for kind, name, read_only in spec.inline_volumes:
            for their_kind, their_name, their_read_only in other.inline_volumes:
                both_read = read_only and their_read_only and kind == "gcePersistentDisk"
                if where is node and (kind, name) == (their_kind, their_name) and not both_read:
                    return False
    return True


def nobody_repels(node, spec, residents):
    for other, where in residents:
        for term in hard(spec.pod_anti_affinity):
            if term_speaks_of(term, other) and same_place(node, where, term.topology_key):
                return False
        for term in hard(other.pod_anti_affinity):
            if term_speaks_of(term, spec) and same_place(node, where, term.topology_key):
                return False
    return True


def has_company(node, spec, residents):
    terms = hard(spec.pod_affinity)
    if any(term.topology_key not in dict(node.labels) for term in terms):
        return False
    friends = [(o, w) for o, w in residents if all(term_speaks_of(term, o) for term in terms)]
    if all(any(same_place(node, w, term.topology_key) for _, w in friends) for term in terms):
        return True
    counted = any(term.topology_key in dict(w.labels) for _, w in friends for term in terms)
    return not counted and all(term_speaks_of(term, spec) for term in terms)


def is_even(node, spec, residents, nodes):
    constraints = [each for each in spec.topology_spread if each.is_required]
    keys = [each.topology_key for each in constraints]
    for each in constraints:
        counts = {}
        for other_node in nodes:
            labels = dict(other_node.labels)
            if any(key not in labels for key in keys):
                continue
            if each.honours_node_affinity and not selected(other_node, spec):
                continue
            if each.honours_node_taints and not untainted(other_node, spec):
                continue
            value = labels[each.topology_key]
            counts.setdefault(value, 0)
            for other, where in residents:
                counts[value] += (
                    where is other_node
                    and other.namespace == spec.namespace
                    and each.selector is not None
                    and len(each.selector.requirements) > 0
                    and speaks_of(each.selector, other)
                )
        value = dict(node.labels).get(each.topology_key)
        lowest = min(counts.values(), default=0) if len(counts) >= each.min_domains else 0
        if value is None or counts.get(value, 0) + speaks_of(each.selector, spec) - lowest > each.max_skew:
            return False
    return True


def may_join(node, spec, residents, nodes):
    return (
        ports_free(node, spec, residents)
        and disks_free(node, spec, residents)
        and nobody_repels(node, spec, residents)
        and has_company(node, spec, residents)
        and is_even(node, spec, residents, nodes)
    )
