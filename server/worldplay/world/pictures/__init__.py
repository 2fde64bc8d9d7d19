"""Start pictures from untrusted clients: decoded as a browser does, and cut to the world's size."""
