"""A net as a stage: its card, its file, and the engine that feeds it windows."""
