"""The independent judge of whole plans, queues included."""
