"""What stands still in a cycle: tables, shapes, claims, masks."""
