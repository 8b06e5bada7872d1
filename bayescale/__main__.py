"""`python -m bayescale` is the command line."""

import sys

from bayescale.cli import main

sys.exit(main())
