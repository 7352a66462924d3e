"""Ollama's API beside its questions to models: what there is, what runs, and the models' management.

``cards`` words what the catalog knows as Ollama does; ``pages`` tells it; ``fleet`` finds the servers that a
request speaks of; ``manage`` has them work, and ``merging`` makes one progress of several.
"""
