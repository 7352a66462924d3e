"""How requests ended, recorded: in the log, in metrics, in the ledger and in traces.

``recorder`` is told every outcome and processes them in batches; ``usage_records`` makes rows of the ledger
of them, ``spans`` spans of a trace.
"""
