"""A world as integers, and the way back to nodes."""
