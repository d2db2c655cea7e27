"""The command line: a command builds settings, calls one library function, prints, and returns an exit code."""
