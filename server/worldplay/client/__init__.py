"""A client of protocol 1 that walks by itself and measures what arrives; for any server."""
