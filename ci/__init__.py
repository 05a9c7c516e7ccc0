"""Tooling of the repository: tools, images, a real cluster, and what nox runs on them."""
