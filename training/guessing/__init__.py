"""Guessing: what a judge that does not judge says of a record, from lengths, words, rules or likelihood."""
