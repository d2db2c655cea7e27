"""Verdicts as rewards, in the shapes in which trainers ask for them."""
