"""Run the mutants of the tables; see ``scoring.py``."""

import sys

from tools.mutants.scoring import main

if __name__ == "__main__":
    sys.exit(main())
