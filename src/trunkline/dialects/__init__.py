"""Dialects: the vendors' APIs as bytes, both directions, no I/O.

One module (or small package) a dialect; none imports another. ``base`` holds what each offers.
"""
