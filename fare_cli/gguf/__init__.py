"""Model files: the catalog of known ones, bringing them here, finding them again, reading what their header says."""
