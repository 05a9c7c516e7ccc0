"""Training programs as users bring them; the end-to-end tests run them in the cluster."""
