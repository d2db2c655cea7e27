"""What needs runs and measures: studies of a model on this machine."""
