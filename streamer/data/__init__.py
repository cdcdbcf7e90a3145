"""From a payload to a checked event, and from an event to a record."""
