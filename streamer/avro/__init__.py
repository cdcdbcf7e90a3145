"""Avro's binary encoding and its container files: what is written, and what is read back."""
