"""A real Kafka and schema registry for tests and for trying things out; standard library only."""
