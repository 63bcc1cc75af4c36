"""Make `python -m rtdenoise` the same as the command `rtdenoise`."""

import sys

from .cli import main

sys.exit(main())
