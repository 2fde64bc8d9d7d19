"""The HTTP and WebSocket server: where protocol, engine and media meet."""
