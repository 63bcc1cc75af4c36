"""Sound files: reading, writing, and what they hold beside samples."""
