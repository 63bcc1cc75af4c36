"""The screen of a live run, in a process of its own; it knows the run's socket and its tap."""
