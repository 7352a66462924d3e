"""The tests, laid out as ``src/trunkline`` is: one file for each module."""
