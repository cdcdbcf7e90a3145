"""From frames to records in order: events, what is missing between them, ids that begin anew."""
