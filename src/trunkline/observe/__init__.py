"""Logs, metrics and traces of the gateway. Every package may use this one, and it uses almost none.

`setup` configures logging once per process. `log` is the request log, which `sink` writes without blocking.
`metrics` counts, and `prometheus` renders what was counted. `traces` sends spans to a collector.
"""
