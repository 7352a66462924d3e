"""Clients as their users install them, each in front of five strict mocks.

``make test-clients`` installs them, each set in a folder of its own below ``.clients``.

- ``house``: the mocks and a gateway.
- ``programs``: what runs in the clients' own Python.
"""
