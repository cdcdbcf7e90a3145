"""`python -m streamer export`: complete Avro files as Parquet (docs/decisions/0091)."""
