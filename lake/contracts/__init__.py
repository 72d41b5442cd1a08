"""Price contracts: what a vendor charges, as files; the one parsed form that SQL and Python read.

Belongs here: the shape of a contract file (schema, components), every rule it must keep (files,
folder) and the rows that rating joins (rows). Does not: arithmetic with money (dbt_project/macros)
or where a contract folder lies (settings).
"""

from lake.contracts.files import parse_contract, read_contract
from lake.contracts.folder import load_contracts, zones_of
from lake.contracts.problems import PriceContractError
from lake.contracts.rows import TABLES, rows_of
from lake.contracts.schema import Contract, json_schema
from lake.contracts.what_if import with_what_ifs

__all__ = [
    "TABLES",
    "Contract",
    "PriceContractError",
    "json_schema",
    "load_contracts",
    "parse_contract",
    "read_contract",
    "rows_of",
    "with_what_ifs",
    "zones_of",
]
