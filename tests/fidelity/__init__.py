"""What becomes of every feature between the dialects: the expected cells, and the tests that produce them."""
