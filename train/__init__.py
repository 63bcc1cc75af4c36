"""The training system behind the generators. From a checkout: `python -m train VERB`."""
