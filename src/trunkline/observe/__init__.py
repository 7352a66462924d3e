"""What the gateway tells of itself: logs, metrics and traces. May be used from anywhere and knows nobody.

``setup`` prepares logging once; ``log`` has a line for each request, which ``sink`` writes without waiting.
``metrics`` counts, ``prometheus`` names what was counted. ``traces`` sends spans to a collector.
"""
