"""Measures the gateway against nginx forwarding to the same mock upstream: ``python -m bench``."""
