"""`python -m helpers.cli` is the command `quantdetect`."""

import sys

from helpers.cli.command import main

sys.exit(main())
