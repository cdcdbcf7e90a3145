"""What `scripts/install` does, step by step; the standard library of any Python 3.9 runs it."""
