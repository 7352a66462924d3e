"""Programs of the clients' own Python, each started as a script; ``common`` is what they share."""
