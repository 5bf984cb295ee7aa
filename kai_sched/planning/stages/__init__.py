"""The stages of a cycle, one function each, least disruptive first. They do not know each other."""
