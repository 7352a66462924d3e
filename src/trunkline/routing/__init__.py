"""Routing: a model's name in, upstreams to ask out, in order.

``names`` reads what a client wrote, ``catalog`` knows which provider has which models, ``router`` puts both
together with the settings.
"""
