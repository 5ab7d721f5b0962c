"""Confusion matrices, the scores computed from them, and result files."""
