"""Devices: the DRA allocator, its CEL, its counters and capacities. Values in, values out."""
