"""Witness: a corpus of snapshots planned by two trees, so that a move of code shows that it changed no decision."""
