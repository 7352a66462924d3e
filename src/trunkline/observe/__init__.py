"""What the gateway tells of itself: logs, metrics and traces. May be used from anywhere and knows nobody."""
