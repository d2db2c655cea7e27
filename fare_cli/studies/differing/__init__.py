"""Verdicts of the same records compared, and the same judge asked again. Needs the extra `stats`."""
