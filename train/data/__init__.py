"""The data of training: layouts of data sets, the cache, excerpts and their degradations."""
