"""Messages generated from serving.proto."""
