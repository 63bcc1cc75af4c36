"""Archives and long recordings, by as many cores and machines as there are."""
