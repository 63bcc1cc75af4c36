"""Sound files: this room reads them, writes them, and processes them."""
