"""Where to compute, and with how many bits."""

from contextlib import AbstractContextManager

import torch


def pick_device() -> torch.device:
    """Give the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision(device: torch.device, enabled: bool = True) -> AbstractContextManager:
    """Give the autocast context for a device: float16 on CUDA, bfloat16 on a CPU that computes in it, else none."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16, enabled=enabled)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled and device.type == "cpu" and cpu_has_bfloat16())


def cpu_has_bfloat16() -> bool:
    """Tell whether the CPU has bfloat16 instructions; without them autocast converts more than it saves."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # not yet there in older releases of torch
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
