"""What a caller may do and what it costs: keys, limits, budgets, prices, the filter of models.

``auth`` finds the caller's key, ``filters`` hides models from everybody. ``guard`` is asked before a request
and after it: ``rules`` say which limits and budgets it is under, ``counters`` count them in memory,
``leases`` do so together with other nodes, and its ``tickets`` remember what it has taken. ``estimates``
guess its tokens, ``prices`` what they cost. Nothing here reads a store: who has one hands in what it says.
"""
