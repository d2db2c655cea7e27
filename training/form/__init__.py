"""Form: what tells right from wrong without judging, and choosing answers so that it does not."""
