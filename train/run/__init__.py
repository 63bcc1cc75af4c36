"""A run: the loop, its checkpoints, its journal."""
