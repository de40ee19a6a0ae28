"""Measurements. They use helpers of the tests, of the module and of the Python client."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
CLIENT = HERE.parent / "python"
sys.path[:0] = [str(HERE / "src"), str(CLIENT / "src")]
# Last: its tests are a package of the same name as the module's.
sys.path.append(str(CLIENT))
