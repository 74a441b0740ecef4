"""Where a result comes from: versions, device, commit."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "torchvision", "efficientnet-pytorch", "numpy", "scikit-learn", "opencv-python")


def describe_environment(device: torch.device) -> dict[str, object]:
    """Give what a result depends on beside data and recipe.

    Args:
        device: the one that computed.

    Returns:
        `device` (str), `threads` (int), `python` (str), `packages` (name to version, None for one not
        installed under that name), `commit` (str or None).
    """
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": git_commit(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # OpenCV, for one, goes by several names
        return None


def device_name(device: torch.device) -> str:
    """Name a device, such as "NVIDIA H200" or "CPU, 2 threads (x86_64)"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type.upper()}, {torch.get_num_threads()} threads ({platform.machine()})"


def git_commit() -> str | None:
    """Give the commit of this checkout, with `-modified` where tracked files differ; None outside a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=-modified", "--exclude=*"],
            cwd=folder, capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip() or None
