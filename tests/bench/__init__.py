"""Tests of the bench: that what it says is what it measured. None asserts a speed."""
