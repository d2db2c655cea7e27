"""Data to checkpoint to GGUF: the recipe of FARE, run from a checkout as `python -m training VERB`."""
