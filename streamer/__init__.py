"""Exchange frames in, ordered and complete records out."""
