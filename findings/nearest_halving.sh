#!/usr/bin/env bash
# Masks of ids are halved by nearest neighbour, to go from 40x to 20x. One would guess that nuclei stay where they are.
# Found: every library moves them by half a pixel of the full-size mask, and not in the same direction. OpenCV's INTER_NEAREST
# takes the top left pixel of each 2 x 2 block, so nuclei move down and right; OpenCV's INTER_NEAREST_EXACT, Pillow's NEAREST
# and scikit-image's resize of order 0 take the bottom right one, so they move up and left. Between two of them a nucleus of
# 10 pixels radius has a Dice of 0.917 with itself. At a factor of 0.8 INTER_NEAREST still moves it, the others no longer.
# What it means: a network taught on masks halved by one and scored on masks halved by another is judged on a shift of one
# pixel. Shrink a mask by the majority of each block, or take the two middles in turn.
# Versions: numpy 2.2.6, opencv-python-headless 4.11.0.86, scikit-image 0.25.2, pillow 11.3.0. Date: 2026-11-27.
# Source: docs.opencv.org (InterpolationFlags), scikit-image.org (skimage.transform.resize), and this script.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.2.6 opencv-python-headless==4.11.0.86 scikit-image==0.25.2 pillow==11.3.0
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import cv2
import numpy as np
import skimage.transform
from PIL import Image

for package in ("numpy", "opencv-python-headless", "scikit-image", "pillow"):
    print(package, version(package))

rows, columns = np.mgrid[:400, :400]


def disc(radius):
    return ((rows - 201.3) ** 2 + (columns - 181.8) ** 2 <= radius**2).astype(np.uint8) * 7


def cv2_by(flag):
    return lambda mask, size: cv2.resize(mask, (size, size), interpolation=flag)


def skimage_resize(mask, size):
    return skimage.transform.resize(mask, (size, size), order=0, preserve_range=True, anti_aliasing=False).astype(np.uint8)


WAYS = {
    "cv2 INTER_NEAREST": (cv2_by(cv2.INTER_NEAREST), 0.5, 0.5),
    "cv2 INTER_NEAREST_EXACT": (cv2_by(cv2.INTER_NEAREST_EXACT), -0.5, 0.0),
    "Pillow NEAREST": (lambda mask, size: np.array(Image.fromarray(mask).resize((size, size), Image.NEAREST)), -0.5, 0.0),
    "scikit-image resize, order 0": (skimage_resize, -0.5, 0.0),
}


def shift(mask, small):
    """Give how far down and right the centre moved, in pixels of the full-size mask."""
    scale = len(mask) / len(small)
    before, after = (np.argwhere(values).mean(0) for values in (mask, small))
    return (after + 0.5) * scale - 0.5 - before


large = disc(120)
for name, (resize, halved, by_fifth) in WAYS.items():
    found = {size: shift(large, resize(large, size)) for size in (200, 320)}
    print(f"{name:30s} halved: {found[200].round(2)}, to 0.8: {found[320].round(2)}")
    assert np.allclose(found[200], halved, atol=0.06), name
    assert np.allclose(found[320], by_fifth, atol=0.06), name

nucleus = disc(10)
one, other = (WAYS[name][0](nucleus, 200) > 0 for name in ("cv2 INTER_NEAREST", "Pillow NEAREST"))
dice = 2 * (one & other).sum() / (one.sum() + other.sum())
print(f"a nucleus of 10 pixels radius, halved both ways: Dice {dice:.3f} with itself")
assert abs(dice - 0.917) < 0.001
PYTHON
