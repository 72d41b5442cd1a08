"""Dagster on top of the lake: the only package that imports dagster, and the weir command line.

Assets, checks, sensors and schedules are thin: a resource in, one library call, a report out.
"""
