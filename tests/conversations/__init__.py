"""Conversations that are made up, and moved from vendor to vendor: ``clients`` keep them in each dialect."""
