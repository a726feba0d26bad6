"""`python -m tailrace.cli`, for where the script isn't on the path."""

import sys

from tailrace.cli import main

sys.exit(main())
