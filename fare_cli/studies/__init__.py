"""What needs runs and measures together: judging with several models, and saying how they differ."""
