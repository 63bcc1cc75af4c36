"""A stage, and what stages are made of: rings, windows, resamplers; no torch, files, devices."""
