"""Several streamers share the symbols by Kafka's own consumer-group protocol."""
