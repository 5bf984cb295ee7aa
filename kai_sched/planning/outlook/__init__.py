"""What waiting gangs may hope for, and what would help them."""
