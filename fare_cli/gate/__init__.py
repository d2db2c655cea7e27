"""Whether verdicts let a change through: pass, fail or undecided. Needs the extra `stats`."""
