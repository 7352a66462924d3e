"""Anthropic's API: messages, token counting and models.

``shape`` has the routes. ``validate`` checks a request and delegates to ``validate_messages`` and
``validate_blocks``, with the error messages of ``validate_fields``. ``threads`` holds conversations.
``parse``, ``write`` and ``errors`` have the roles that they have in every shape. Sources: the vendor's
published API reference and the types of its Python client."""
