"""The entry point of `python -m train VERB`; train/cli has the verbs."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
