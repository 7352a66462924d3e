"""Anthropic's API: messages, token counting and models.

``shape`` has the routes. ``validate`` checks a request and delegates to ``validate_messages`` and
``validate_blocks``, with the error messages of ``validate_fields``. ``parse``, ``write`` and ``errors`` have
the roles that they have in every shape. ``threads`` are the conversations that the server holds. Sources: the
vendor's published API reference and the types of its Python client.
"""
