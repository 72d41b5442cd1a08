"""Pure functions over small tables: completeness, allocation, attribution. Knows no storage."""
