"""Linters that need more than a command line: of what the chart renders."""
