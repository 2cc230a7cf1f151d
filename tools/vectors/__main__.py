"""Write the file, or with ``--check`` exit 1 if it is not what the formulas give."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.vectors import encodings, numbers

TARGET = Path(__file__).resolve().parents[2] / "spec" / "vectors" / "ecdsa_edge_cases.json"
GROUPS = (
    numbers.ordinary,
    numbers.ranges,
    numbers.infinity,
    numbers.wrapped_x,
    numbers.low_s,
    numbers.sums,
    numbers.digests,
    encodings.keys,
    encodings.coordinates,
    encodings.der_forms,
    encodings.compact_forms,
)


def text() -> str:
    """Return the file's content."""
    document = {
        "title": "Edge cases of ECDSA verification on secp256k1, strict encodings, low s",
        "source": "made by tools/vectors.py from formulas",
        "cases": [row for group in GROUPS for row in group()],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or compare with ``--check``."""
    wanted = text()
    if arguments == ["--check"]:
        same = TARGET.read_text(encoding="utf-8") == wanted
        print(f"{TARGET.name}: {'as the formulas give it' if same else 'not what they give'}")
        return 0 if same else 1
    TARGET.write_text(wanted, encoding="utf-8")
    print(f"wrote {TARGET.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
