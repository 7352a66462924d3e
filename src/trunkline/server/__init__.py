"""The gateway as a server.

``app`` composes everything from the settings, runs it, and goes over to changed settings. ``endpoints``
answers the requests that need no model. ``admin`` is the administration API. ``accounting`` records how
requests ended. ``redis`` stores shared limits and cached answers. ``http`` speaks HTTP to clients: two ends,
one of which is fast and one the reference, share a dispatcher, which finds the route of each request.

Imports point down: ``app`` knows all the others, of which only ``http`` may be imported by the rest.
"""
