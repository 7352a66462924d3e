"""The fit step: requests that an upstream would refuse although the meaning is plain are made to fit it.

``rules`` says as data what a vendor refuses. ``step`` changes a body by it, with ``names`` and ``schemas``;
each dialect says in its own ``fit`` module where its bodies have what. ``answer`` gives the tools in an
answer the client's names again.
"""
