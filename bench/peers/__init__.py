"""Measures other gateways beside Trunkline's: ``python -m bench.peers``.

`installing` puts them into environments of their own, `catalog` says how each is started and asked, `trials`
are the loads, `tables` shows the results.
"""
