"""What must be true of the data: rules, profiles, freshness objectives, and their verdicts.

Belongs here: how staged deliveries, hours and months of marts and the age of feeds are judged.
Does not: what happens after a verdict (lake/ gates commits, orchestration/ reports and alerts).
Great Expectations costs seconds to import; only expectations.judge does so, when it first judges.
"""
