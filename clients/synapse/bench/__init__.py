"""Measurements. They use helpers of the tests, of the module and of the Python client."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE / "src"), *(str(HERE.parent / "python" / more) for more in (".", "src"))]
