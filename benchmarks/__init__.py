"""Measurements side by side; run from a checkout. Not part of the package."""
