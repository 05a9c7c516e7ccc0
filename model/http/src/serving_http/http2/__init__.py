"""HTTP/2 (RFC 9113): frames, headers, and the server's end of a connection. The api's client stands on it too."""
