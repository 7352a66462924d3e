"""Ollama's API besides its requests to models.

``pages`` shows versions and models, in the form that ``model_info`` gives them; ``fields`` reads requests.
``fleet`` finds the servers that a request is for; ``management`` has them work, and ``progress_merge`` makes
one stream of their progress. ``repairs`` gives servers what they have missed while they were away, and
``auto_pull`` pulls models that requests ask for.
"""
