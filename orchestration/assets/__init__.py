"""Assets by step of the way: ingest (landing -> bronze), models (dbt), gold (publish)."""
