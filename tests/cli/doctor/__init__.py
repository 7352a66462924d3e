"""Tests of ``trunkline.cli.doctor``."""
