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
    """Give one of the three calls, or a module of the package, such as `helpers.figures`."""
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":  # the module is there, and a package that it needs is not
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
