"""Reports: one model of tables and plots, written as text, as JSON and as one HTML page."""
