"""Nuclei segmentation in H&E tiles with a U-Net over EfficientNet-B0: the package behind the notebook.

`helpers.predict(image, um_per_px=0.25)` finds the nuclei of any RGB image with the shipped model,
`helpers.examine(image, um_per_px=0.25)` says how sure it is and what it looked at, and `helpers.load_model()` gives
that model.
"""

import importlib

__version__ = "0.1.0"
# Imported when first asked for: preparing data holds no PyTorch in memory.
_EXPORTS = {
    "examine": "helpers.examination",
    "load_model": "helpers.shipped",
    "predict": "helpers.segmentation",
}
__all__ = ["examine", "load_model", "predict"]  # noqa: F822, they come from __getattr__


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
