"""OpenAI's Responses API, which several vendors serve below the address of their chat completions.

``shape`` has the route. ``store`` keeps responses, so that a later request can continue a conversation.
``validate``, ``parse``, ``write`` and ``errors`` have the roles that they have in every shape. Error objects,
models and headers are those of :mod:`trunkline_mock.shapes.openai`.
"""
