"""Importers: published data sets, in the files in which they are published, as records with gold."""
