"""`python -m tailrace.cli`, for environments whose scripts aren't on the path."""

import sys

from tailrace.cli import main

sys.exit(main())
