"""What is observed of a streamer, and how it is judged."""
