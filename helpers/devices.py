"""Where to compute, and with how many bits."""

import copy
from contextlib import AbstractContextManager

import torch
from torch import nn

from helpers.errors import InputError, in_a_line

CPU_PIXELS = 2**17  # at once


def pick_device() -> torch.device:
    """Give the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_batch_size(side: int, device: torch.device) -> int:
    """Choose how many tiles of `side` pixels go through a network at once: 16, on a CPU 8 of 128 or 2 of 256.

    There, larger batches wait for memory, and smaller ones leave it idle.
    """
    return 16 if device.type != "cpu" else min(16, max(1, CPU_PIXELS // side**2))


def on_device(network: nn.Module, device: torch.device | str) -> nn.Module:
    """Give a network on a device: itself if it is there, else a copy, so that the caller's own stays where it is.

    Of one that was made in inference mode it is a copy too, through whose weights a gradient can pass. A device that
    is not there is an InputError.
    """
    try:
        there = torch.empty(0, device=device).device  # "cuda" gets the number of the current one
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # no such word, no driver, no support
        raise InputError(
            f"device {device}: expected one that PyTorch can use here, found none ({in_a_line(error)[:160]}); give cpu"
        ) from None
    with torch.inference_mode(False):  # a caller's own would leave weights that no gradient can pass
        if any(weights.device != there or weights.is_inference() for weights in network.parameters()):
            network = copy.deepcopy(network).to(there)
        return network.to(memory_format=torch.channels_last)


def mixed_precision(device: torch.device, enabled: bool = True) -> AbstractContextManager:
    """Give the autocast context for a device: float16 on CUDA, bfloat16 on a CPU that computes in it, else none."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16, enabled=enabled)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled and device.type == "cpu" and cpu_has_bfloat16())


def cpu_has_bfloat16() -> bool:
    """Tell whether the CPU has bfloat16 instructions; without them autocast converts more than it saves."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # not yet there in older releases of torch
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
