"""The page of `fare report`: all verdicts of a run in one file, for people to look at, doubt and correct."""
