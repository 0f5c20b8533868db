"""`python -m tasks.cli`: the `airqino` command."""

import sys

from tasks.cli.main import main

sys.exit(main())
