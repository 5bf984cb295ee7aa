"""What is free while a plan grows, and how many pods of a shape each node takes."""
