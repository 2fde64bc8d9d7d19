"""WorldPlay Live: walk through a world that a video model is generating, in a browser tab."""
