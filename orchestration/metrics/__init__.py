"""Metric definitions: the registry, what is generated from it, and how it is asked."""
