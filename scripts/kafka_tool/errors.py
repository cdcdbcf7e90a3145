"""The errors that people see."""


class KafkaToolError(Exception):
    """Something a person can put right; the message says what and how."""


class UnavailableError(KafkaToolError):
    """There is no Java, or no way to fetch Kafka, on this machine: tests are skipped then."""
