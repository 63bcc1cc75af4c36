"""Archives: many recordings, here or in stores, by one machine or by many."""
