"""Hierarchical fair share: the quota tree, its division, the running account and the order of service."""
