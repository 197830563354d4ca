"""Lets the tests find the package without an installation."""

import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "tests")]
torch.set_num_threads(1)
