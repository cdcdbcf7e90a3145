"""What holds the memory of a streamer, and how what is free goes back to the system."""
