"""From the kit's results to the support matrix: `python -m yamori.testing.matrix`.

A *run* is what pytest wrote, a *column* what all runs so far have proven of one hypervisor, row by row.
"""
