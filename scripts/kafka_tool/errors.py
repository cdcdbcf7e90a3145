"""The one error that people see."""


class KafkaToolError(Exception):
    """Something a person can put right; the message says what and how."""
