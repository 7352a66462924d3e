"""What answers the requests that need no model, and what is stored between requests.

``route_table`` says which endpoint stands at which path. ``pages`` (health, metrics), ``providers`` and
``models`` are the gateway's own and OpenAI's pages; ``anthropic`` and ``ollama`` are what clients of these
dialects ask besides. ``stored_responses``, with their ``response_items``, keep responses for later turns, and
``conversations`` are what several of them go on in. ``threads`` are message threads of Anthropic's clients.
``request_body`` decodes bodies.
"""
