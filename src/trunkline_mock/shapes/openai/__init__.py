"""OpenAI's API, and those of the vendors and servers that are compatible with it.

``shape`` has the routes: chat completions, text completions, embeddings and models. One class plays every row
of ``vendors``, whose columns are those of ``vendor``; ``hosted`` has more rows. ``validate``, ``parse``,
``write`` and ``errors`` have the roles that they have in every shape."""
