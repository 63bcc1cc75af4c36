"""Proofs of what a net and this machine can do; they drive files, live sound and effects."""
