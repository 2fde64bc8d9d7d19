"""Pictures that people send to start from: opened, shown as a browser would, and cut to the world's size."""
