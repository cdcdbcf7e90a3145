"""Pages under docs/ that are made from the code, so that they cannot lag behind it."""
