"""Growth: how exact it is, what it brings a stream that needs it, and whether it leaves alone one that does not."""
