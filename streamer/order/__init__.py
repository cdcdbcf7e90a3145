"""Which event comes next, what is missing, and what waits above it. Pure but for the disk."""
