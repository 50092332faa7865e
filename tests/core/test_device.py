"""What is set on a machine before anything is computed on it."""

from __future__ import annotations

import subprocess
import sys


def test_single_precision_is_computed_as_such_on_a_gpu():
    """PyTorch's own default lets a GPU's convolutions round to TF32, whose ten bits of mantissa are FP16's."""
    code = (
        "import torch; from helpers.core import device; before = torch.backends.cudnn.allow_tf32;"
        " device.require('cpu'); print(before, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", "False", "False"]
