"""Runs cycles: in a persistent child process that may die at any time, or in process for commands.

The only home of processes around deciding. Whatever the child does, the parent ends with the last plan that the
independent checker passed.
"""
