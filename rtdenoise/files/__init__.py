"""Sound files through an effect: one, and many."""
