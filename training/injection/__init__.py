"""Programmatic error injection: correct data, corrupted in known ways, as records whose labels follow from that."""
