"""Slow and simple readers, written from the RFCs and apart from src/: what the fuzzed code must agree with."""
