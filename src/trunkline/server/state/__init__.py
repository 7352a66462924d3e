"""What clients refer to later: responses, conversations and message threads, kept between their requests.

- ``store``: the store, with its part in memory.
- ``disk``: its part on disk.
"""
