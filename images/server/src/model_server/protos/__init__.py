"""Messages generated from config.proto."""
