"""The pieces of `studies.evaluate`: verdicts reduced to what is measured, and the tables and plots of each kind."""
