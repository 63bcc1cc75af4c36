"""`python -m rtdenoise` is `rtdenoise`."""

import sys

from .cli import main

sys.exit(main())
