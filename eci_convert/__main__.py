"""`python -m eci_convert`."""

import sys

from eci_convert.cli import main

sys.exit(main())
