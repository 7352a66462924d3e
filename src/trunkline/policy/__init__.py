"""Policy: what a caller may do and what it costs. Keys, limits, budgets, prices, and the filter of models.

``auth`` finds the caller's key, and ``filters`` hides models from everybody. The ``guard`` is asked before a
request and settles it after: ``rules`` say which limits and budgets hold for it, ``counters`` count them in
memory, ``leases`` count them together with other nodes, and ``reservations`` remember what a request has
taken. ``media`` and ``estimates`` guess how many tokens it has, and ``prices`` say what they cost. Nothing
here reads a database: whoever has one passes its records in.
"""
