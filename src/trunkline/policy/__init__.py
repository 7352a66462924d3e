"""What a caller may do and what it costs: keys, limits, budgets, prices, the filter of models.

``guard`` asks them all, before a request and after it; ``meters`` count in memory, ``leases`` do so together
with other nodes. Nothing here reads a store: who has one hands in what it says.
"""
