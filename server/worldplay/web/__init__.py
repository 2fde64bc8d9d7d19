"""The HTTP and WebSocket server: connects protocol, engine and media."""
