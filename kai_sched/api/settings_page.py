"""docs/reference/configuration.md, from the model of the settings: every key with its default and what it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson
from pydantic import BaseModel

from kai_sched.api.settings import Settings

_HEAD: Final = """# Configuration of the process

Generated from `kai_sched/api/settings.py` by `kai-sched crds generate`; do not edit. The JSON schema lies beside it.

One file, `kind: Configuration`, `apiVersion: kai-sched.dev/v1alpha1`, given by `--config` or `KAI_SCHED_CONFIG`. Flags win
over the environment, the environment over the file, the file over the defaults. In the environment a key is written
`KAI_SCHED_` and its path in capitals: `lease.renewSeconds` is `KAI_SCHED_LEASE_RENEW_SECONDS`; values are read as YAML.
A key that is not known is an error, whichever way it came. `kai-sched run --print-config` prints what holds.

What the scheduler decides by (stages, strategies, budgets) is not here but in the `SchedulingShard`.

| key | default | |
| --- | --- | --- |
"""


def settings_page() -> str:
    """The whole page."""
    return _HEAD + "".join(
        f"| `{key}` | `{default}` | {description} |\n" for key, default, description in _rows(Settings, "")
    )


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    """(path, default as JSON, description) of every key, sections flattened."""
    defaults = model().model_dump(mode="json", by_alias=True)
    for field in model.model_fields.values():
        alias = field.alias or ""
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _rows(section, f"{prefix}{alias}.")
        else:
            yield f"{prefix}{alias}", orjson.dumps(defaults[alias]).decode(), field.description or ""
