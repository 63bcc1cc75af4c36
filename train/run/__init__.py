"""A training run: the loop, its checkpoints, its journal and its export."""
