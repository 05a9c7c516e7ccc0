"""The model store: layout, manifest, digest, publish, find, verify; the standard library is all it needs."""
