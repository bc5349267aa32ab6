"""`python -m processmaker`: the same as the command `processmaker`."""

import sys

from .cli import main

sys.exit(main())
