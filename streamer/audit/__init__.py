"""What a sink holds, read again from the beginning: every id, once, in order."""
