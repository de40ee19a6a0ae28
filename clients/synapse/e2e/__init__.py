"""The bridge in a real homeserver. Runs from a checkout, whether or not the module is installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
