"""Files over https, of the digest asked for, and archives, unpacked with care; the standard library is all it needs."""
