"""The machine that something is made on: its names, its memory's peaks, and whether it has the device asked for."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from helpers.core.errors import UsageError, shown

__all__ = ["accelerator", "forget_peak", "memory_left", "peaks", "processor", "release", "require", "synchronize"]


def processor() -> str:
    """The processor's name; on Linux as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def require(device: str) -> None:
    """Raise UsageError where PyTorch has no such device ("cpu", "cuda", "cuda:1") on this machine.

    From then on a GPU computes single precision in single precision: PyTorch's default lets its convolutions round to
    TF32, ten bits of mantissa as FP16 has, and an FP32 baseline that is none is no baseline.
    """
    import torch

    # PyTorch's own numbers of devices have one digit or two; longer ones overflow in it.
    found = re.fullmatch(r"cpu|cuda(?::([0-9]{1,2}))?", device)
    if not found:
        raise UsageError(f"no device {shown(device)}; give cpu, cuda or cuda:N")
    if device != "cpu" and int(found[1] or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {device}: PyTorch sees {torch.cuda.device_count()} CUDA devices on this machine; work on the CPU,"
            " or install a driver and a CUDA build of PyTorch"
        )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def accelerator(device: str) -> dict[str, Any]:
    """device, card, driver (of a GPU, as the runtime says) and versions of what computes on it, as text."""
    import torch

    names = {name: _version(name) for name in ("torch", "diffusers", "optimum-quanto", "bitsandbytes")}
    versions = ", ".join(f"{name} {version}" for name, version in names.items())
    if not device.startswith("cuda"):
        return {"device": device, "card": processor(), "driver": "", "versions": versions}
    return {
        "device": device,
        "card": torch.cuda.get_device_name(device),
        "driver": _driver(),
        "versions": f"{versions}, CUDA {torch.version.cuda}",
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _driver() -> str:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def synchronize(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def release(device: str) -> None:
    """Give memory that nothing uses back to the device."""
    if device.startswith("cuda"):
        import gc

        import torch

        gc.collect()
        torch.cuda.empty_cache()


def forget_peak(device: str = "cpu") -> None:
    """Start the peaks of memory afresh: a GPU's, or on Linux this process's; elsewhere a process's peak stays."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peaks(device: str = "cpu") -> dict[str, int | None]:
    """peak_allocated and peak_reserved, bytes: of a GPU as PyTorch's allocator counts them; of a CPU the process's peak
    resident memory (on Linux since `forget_peak`) and None.
    """
    if device.startswith("cuda"):
        import torch

        return {
            "peak_allocated": torch.cuda.max_memory_allocated(device),
            "peak_reserved": torch.cuda.max_memory_reserved(device),
        }
    return {"peak_allocated": _resident(), "peak_reserved": None}


def memory_left() -> int | None:
    """Bytes of main memory that can be taken without swapping: on Linux as the kernel estimates it, elsewhere free
    pages; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _resident() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
