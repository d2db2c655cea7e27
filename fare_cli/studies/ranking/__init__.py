"""A ranking from end to end: answers read and judged, or verdicts that were kept, and the report."""
