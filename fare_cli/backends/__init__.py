"""Backends: who answers asks."""
