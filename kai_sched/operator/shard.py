"""The policy that holds now, from the SchedulingShard of our name as it stands in the cluster.

A key that cannot be served costs itself only: the rest of the shard is in force, also after a restart, and the shard is
told. Where nobody can say which nodes a shard is for, the last good policy goes on. A shard of a name of its own that
does not exist is no policy at all, else two operators would decide about the same nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kai_sched.api.settings import Settings
from kai_sched.api.shard_policy import base_policy, read_shard
from kai_sched.cluster.ports import Document
from kai_sched.errors import InvalidInput
from kai_sched.model.policy import Policy
from kai_sched.operator.options import DEFAULT_SHARD
from kai_sched.planning.stages import CARRIED_OUT


@dataclass(frozen=True, slots=True)
class ShardNotice:
    """What is to be said of the shard. ``document``: None where there is none to say it on."""

    name: str
    document: Document | None
    problem: str
    remarks: tuple[str, ...]


class ShardPolicy:
    """Reads the shard whenever it changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: Document | None = None
        self._policy: Policy | None = None
        self._is_first = True
        self.problem = ""
        """What is wrong in the shard, or why nothing of it can be used."""
        self.remarks: tuple[str, ...] = ()
        """What of the shard is left out because it is not to be had here."""

    @property
    def name(self) -> str:
        """The shard's name."""
        return self._settings.shard

    def current(self, shards: Mapping[str, Document]) -> Policy | None:
        """The policy by the shards that exist; None: nothing may be decided yet."""
        document = shards.get(self.name)
        if self._is_first or document is not self._read:
            self._is_first = False
            self._read = document
            self._policy = self._changed(document)
        return self._policy

    def notice(self, shards: Mapping[str, Document]) -> ShardNotice:
        """What is to be said of what was read last."""
        return ShardNotice(self.name, shards.get(self.name), self.problem, self.remarks)

    def _changed(self, document: Document | None) -> Policy | None:
        self.problem, self.remarks = "", ()
        if document is None:
            if self.name == DEFAULT_SHARD:
                return self._limited(base_policy(self._settings))
            self.problem = f"SchedulingShard {self.name} does not exist"
            return None
        try:
            reading = read_shard(document, self._settings)
        except InvalidInput as problem:
            self.problem = f"{problem.field}: {problem.reason}" if problem.field else problem.reason
            return self._policy
        self.problem = "; ".join(str(note) for note in reading.wrong)
        self.remarks = reading.remarks
        return self._limited(reading.policy)

    def _limited(self, policy: Policy) -> Policy:
        """To the stages that there are, and to fractions only where something realises them."""
        return replace(
            policy,
            stages=tuple(stage for stage in policy.stages if stage in CARRIED_OUT),
            sharing_enabled=policy.sharing_enabled and self._settings.sharing_enabled,
        )
