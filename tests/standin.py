"""A stand-in for a GPU: what is asked to go to CUDA stays on the CPU, and what is asked of CUDA's runtime is answered.

So the branches for a GPU run here to their end. What only a GPU can show, its kernels' numbers and its memory, it does
not.
"""

from __future__ import annotations

import importlib

import pytest
import torch
from torch.overrides import TorchFunctionMode

CARD, DRIVER, CARDS, ALLOCATED, RESERVED = "Stand-in 80GB", "570.1", 2, 3_000_000, 5_000_000


class StandIn(TorchFunctionMode):
    """Within it `device="cuda"` and `.to("cuda:1")` mean the CPU. `asked` are the devices that were named, `calls` what
    was asked of the runtime and of which device."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()
        self.calls: list[tuple[str, str | None]] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.device:  # it goes nowhere yet
            return func(*args, **(kwargs or {}))
        return self.within(func, *args, **(kwargs or {}))

    def within(self, func, *args, **kwargs):
        """What a function gives of these arguments on the CPU."""
        return func(*map(self._here, args), **{name: self._here(value) for name, value in kwargs.items()})

    def _here(self, value):
        if isinstance(value, torch.device) and value.type == "cuda" or isinstance(value, str) and value[:4] == "cuda":
            self.asked.add(str(value))
            return torch.device("cpu")
        return value

    def answer(self, name: str, result=None):
        def called(device=None):
            self.calls.append((name, device))
            return result

        return called

    def named(self, name: str) -> list[str | None]:
        """The devices of which the runtime was asked this."""
        return [device for asked, device in self.calls if asked == name]


def stand_in(monkeypatch: pytest.MonkeyPatch, memory: int = 80_000_000_000) -> StandIn:
    """A machine with two cards of so many bytes, until the test ends; enter what is returned to compute there."""
    importlib.import_module("optimum.quanto")  # its import looks for a GPU's compiler
    standing = StandIn()
    answers = {
        "device_count": CARDS, "is_available": True, "get_device_name": CARD, "synchronize": None, "empty_cache": None,
        "reset_peak_memory_stats": None, "max_memory_allocated": ALLOCATED, "max_memory_reserved": RESERVED,
        "get_device_capability": (9, 0), "mem_get_info": (memory, memory), "memory_reserved": 0, "memory_allocated": 0,
    }  # fmt: skip
    for name, result in answers.items():
        monkeypatch.setattr(torch.cuda, name, standing.answer(name, result))
    to = torch.Tensor.to
    # A mode holds in its own thread; detectors have others.
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, **kwargs: standing.within(to, self, *args, **kwargs))
    return standing
