"""People's verdicts and notes on records: the file that they are kept in."""
