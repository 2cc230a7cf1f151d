"""``python -m model_checks.export``."""

from __future__ import annotations

import sys

from model_checks.export import main

if __name__ == "__main__":
    sys.exit(main())
