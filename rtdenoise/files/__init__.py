"""Sound files: in, out, and through a stage."""
