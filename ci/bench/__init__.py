"""Benchmarks: side by side, as ratios."""
