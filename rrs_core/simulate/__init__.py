"""Scans with known truth: families of interference and technosignatures."""
