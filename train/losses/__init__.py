"""Losses, (estimate, reference) -> scalar, and the nets that some of them need."""
