"""Reads fleet and profile files; what is wrong in one is a line naming file and field."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from kai_sched.api.files import read_file
from kai_sched.errors import InvalidInput
from kai_sched.localcluster.fleet.profile import Profile
from kai_sched.localcluster.fleet.spec import Fleet, Strict

PROFILES = Path(__file__).parent.parent / "profiles"

Document = TypeVar("Document", bound=Strict)


def read_fleet(path: Path) -> Fleet:
    """The fleet in a YAML file. Raises ``InvalidInput``."""
    return _read(path, Fleet)


@lru_cache
def profile_named(name: str) -> Profile:
    """A profile that comes with the package. Raises ``InvalidInput``."""
    path = PROFILES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
        raise InvalidInput(f"no device profile {name!r}; there are {known}")
    return _read(path, Profile)


def _read(path: Path, model: type[Document]) -> Document:
    try:
        content = yaml.safe_load(read_file(path))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(" ".join(str(error).split()), source=str(path)) from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(first["msg"], source=str(path), field=field) from error
