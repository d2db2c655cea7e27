"""Air-gap bundles: a judge in one folder, for a machine without network. docs/models.md describes the folder."""
