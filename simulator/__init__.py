"""Seeded CDN and recommendation traffic with incidents and a ledger of the truth.

Belongs here: making logs, delivering them, and knowing what they add up to. Does not belong here:
reading logs. Start with `simulate(Scenario(...))`.
"""

from simulator.board import IncidentReport
from simulator.plan import Delivered, Plan, simulate
from simulator.rating import rate
from simulator.scenario import ALL_INCIDENTS, Incident, Scenario
from simulator.tariffs import load_tariffs
from simulator.terms import Tariff

__all__ = [
    "ALL_INCIDENTS",
    "Delivered",
    "Incident",
    "IncidentReport",
    "Plan",
    "Scenario",
    "Tariff",
    "load_tariffs",
    "rate",
    "simulate",
]
