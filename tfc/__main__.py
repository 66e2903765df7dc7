"""`python -m tfc`."""

import sys

from tfc.cli import main

if __name__ == "__main__":
    sys.exit(main())
