"""Recipes that become no DAGs: Airflow shows what is wrong with them as an error of this file; all others stand."""

from seedbed_recipes import read_faults

if _faults := read_faults():
    raise ValueError("; ".join(_faults))
