"""Tests of the peers' part of the bench."""
