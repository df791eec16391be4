"""Where the project and the reference's numbers lie."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARITY = ROOT / "tests" / "parity"
