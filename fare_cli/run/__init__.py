"""Runs: records in, asks out, replies kept, verdicts written in input order."""
