"""Our view of the API server: the client, the watches, and the mirror of the objects that decisions read."""
