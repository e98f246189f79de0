"""What the tests of the rules share."""

from __future__ import annotations

import sys
from pathlib import Path

# `corpus.py` beside the tests is read by more than one of them.
sys.path.insert(0, str(Path(__file__).parent))
