"""`python -m helpers.cli` is the command `quantdetect`."""

import sys

from helpers.cli.app import main

sys.exit(main())
