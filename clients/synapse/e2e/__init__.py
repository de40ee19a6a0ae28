"""The bridge in a real homeserver. Runs from a checkout, whether or not the module is installed."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE / "src"), str(HERE.parent / "python" / "src")]
