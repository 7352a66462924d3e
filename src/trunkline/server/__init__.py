"""The gateway as a server.

``app`` composes everything from the settings, runs it, and goes over to changed settings. ``endpoints``
answers the requests that need no model. ``admin`` is the administration API. ``accounting`` records how
requests ended. ``redis`` keeps what nodes share. ``state`` stores what clients refer to later. ``http``
speaks HTTP to clients: two ends, one of which is fast and one the reference, share a dispatcher, which finds
the route of each request.

Imports point down: ``app`` knows all the others, of which only ``state`` and ``http`` may be imported by the
rest.
"""
