"""Maintenance: tables stay fast, files that nobody needs go, a lost catalog is found again.

Nothing here changes a row, an hour version or what a reader sees. Each step may be killed at any
point and run again, and any number of writers may work meanwhile.
"""
