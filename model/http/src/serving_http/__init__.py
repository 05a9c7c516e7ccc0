"""HTTP/1.1 for processes that answer strangers: limits on everything that is sent, and no request lost at the end."""
