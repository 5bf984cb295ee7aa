"""Schedulers on one real control plane, in alternation: how fast pods get their nodes, and what it costs the API server."""
