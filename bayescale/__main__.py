"""Entry point of the command line, `python -m bayescale`."""

import sys

from bayescale.cli.main import main

sys.exit(main())
