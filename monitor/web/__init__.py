"""The supervisor's HTTP port: metrics, health, status."""
