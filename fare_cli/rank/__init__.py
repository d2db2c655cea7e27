"""Ranking many: strengths from comparisons, which pairs to ask next, item difficulty, and the best of n answers."""
