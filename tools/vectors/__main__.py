"""Write the files, or with ``--check`` exit 1 if one is not what the program gives."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.vectors import encodings, numbers, threshold

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "vectors"
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


def edge_cases() -> str:
    """Return the content of ``ecdsa_edge_cases.json``."""
    document = {
        "title": "Edge cases of ECDSA verification on secp256k1, strict encodings, low s",
        "source": "made by tools/vectors.py from formulas",
        "cases": [row for group in GROUPS for row in group()],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


FILES = {
    FOLDER / "ecdsa_edge_cases.json": edge_cases,
    FOLDER / "threshold_ecdsa.json": threshold.text,
}


def main(arguments: list[str]) -> int:
    """Write the files, or compare with ``--check``."""
    stale = False
    for target, text in FILES.items():
        if arguments == ["--check"]:
            same = target.read_text(encoding="utf-8") == text()
            print(f"{target.name}: {'as it is made' if same else 'not what is made'}")
            stale = stale or not same
        else:
            target.write_text(text(), encoding="utf-8")
            print(f"wrote {target.name}")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
