"""Apps and data folders in and out."""
