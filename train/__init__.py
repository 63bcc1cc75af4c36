"""The training system that makes the generators; a checkout runs it as `python -m train VERB`."""
