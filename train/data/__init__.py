"""Recordings: layouts of data sets, the cache, excerpts, and what is done to them."""
