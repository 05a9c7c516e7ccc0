"""Wait for a published model, verify every byte of it, hand it to the server."""
