"""Clients as their users install them, each in front of five strict mocks; ``make test-clients`` installs them.

- ``house``: the mocks and a gateway.
- ``programs``: what runs in the clients' own Python.
"""
