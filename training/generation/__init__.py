"""Generate, then grade: answers of models to questions whose final answer is known."""
