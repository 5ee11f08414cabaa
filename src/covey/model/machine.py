"""Which device and number format a model runs in here.

device = choose_device("auto"); choose_dtype("auto", device)
"""

from __future__ import annotations

import re
import time
from functools import cache
from pathlib import Path

import torch

from covey.errors import CoveyError

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "float64": torch.float64}
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 and, the last, Arm


def choose_device(name: str) -> torch.device:
    """auto is a GPU if there is one. Raises CoveyError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not (match := re.fullmatch(r"cpu|cuda(?::(\d+))?", name)):
        raise CoveyError(f"device={name!r}: must be auto, cpu, cuda or cuda:N")
    if name == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        others = f" or cuda:0 to cuda:{count - 1}" if count else ""
        raise CoveyError(f"device={name!r}: torch sees {count} CUDA devices here; set device='cpu'{others}")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """auto is bfloat16 where the hardware multiplies it, else float32."""
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise CoveyError(f"dtype={name!r}: must be auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 arithmetic of its own; emulation would be slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(_cpu_flags() & _BFLOAT16_FLAGS)


@cache
def multiplies_faster_in_bfloat16(device: torch.device) -> bool:
    """Whether large products are faster in bfloat16 than in float32. On a GPU that has it they are; a CPU is tried, for a few
    milliseconds: some have bfloat16 instructions that halve what is read, but do not multiply faster."""
    if device.type != "cpu" or not has_bfloat16(device):
        return has_bfloat16(device)
    seconds = {dtype: _seconds_of_a_product(dtype) for dtype in (torch.bfloat16, torch.float32)}
    return seconds[torch.bfloat16] < seconds[torch.float32]


def _seconds_of_a_product(dtype: torch.dtype) -> float:
    a, b = torch.ones(512, 512, dtype=dtype), torch.ones(512, 1024, dtype=dtype)
    taken = []
    for _ in range(8):
        began = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - began)
    return min(taken)


@cache
def _cpu_flags() -> frozenset[str]:
    """The processor's feature flags; none where the system does not list them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lines = re.findall(r"^(?:flags|Features)\s*:\s*(.*)$", text, flags=re.MULTILINE)
    return frozenset(lines[0].split()) if lines else frozenset()
