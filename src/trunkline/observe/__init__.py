"""What the gateway tells of itself: logs (and metrics). May be used from anywhere and knows nobody."""
