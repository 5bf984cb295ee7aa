"""Where the local control plane keeps its files: binaries and named clusters, both under the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from kai_sched.localcluster.recipe import LINKER_FLAGS, VERSION

GO_MODULE = Path(__file__).with_name("gomod")


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/kai-sched``, by default ``~/.cache/kai-sched``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "kai-sched"


def binary_folder() -> Path:
    """One folder for each recipe: another module file, version or machine type never reuses a binary."""
    digest = hashlib.sha256(LINKER_FLAGS.encode())
    for name in ("go.mod", "go.sum"):
        digest.update((GO_MODULE / name).read_bytes())
    machine = f"{platform.system()}-{platform.machine()}".lower()
    return cache_folder() / "bin" / f"{VERSION}-{machine}-{digest.hexdigest()[:12]}"


def clusters_folder() -> Path:
    """Where ``kai-sched dev up`` keeps the clusters that outlive it, one folder each."""
    return cache_folder() / "clusters"
