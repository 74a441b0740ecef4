#!/usr/bin/env bash
# Panoptic quality (Kirillov et al. 2019) of label maps, by three packages at the corners of its definition, and the average
# precision of one of them. One would guess one value a row: the definition is one, and on ordinary maps they agree.
# Found (instance_matching_corners.csv):
# - An IoU of exactly one half is a match in stardist's `matching` and in cellseg-metrics' `precision_recall_ap`, and none in its
#   `panoptic_quality` nor in torchmetrics. A threshold of the next number above 0.5 changes nothing in stardist: it compares
#   in float32. The next float32 does.
# - A picture without nuclei, none predicted, has 0 in stardist and cellseg-metrics (no number in its AP), and 1 or 0 in
#   torchmetrics, by whether its background is asked for along with the nuclei.
# - With every nucleus missed torchmetrics still gives 0.4375 here, the mean of 0 for nuclei and 0.875 for the background.
# - torchmetrics without the background as a class takes it for "not annotated", on both sides: half a nucleus found has 1, a
#   nucleus missed or invented has no number.
# - cellseg-metrics' aggregated Jaccard index gives a nucleus the prediction of largest overlap, where Kumar et al. 2017 give
#   it the one of largest IoU: 0.1875 for 0.1176.
# What it means: a panoptic quality is comparable only with the package, its threshold, and the rule of empty pictures beside it.
# On Linux PyPI's torch brings 3 GB of CUDA: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu spares it.
# Versions: stardist 0.9.2, cellseg-metrics 0.2.0, torchmetrics 1.9.0, torch 2.13.0, numpy 2.2.6. Date: 2026-11-27.
# Source: github.com/stardist/stardist (matching.py), github.com/okunator/cellseg_models.pytorch, lightning.ai/docs/torchmetrics
# (PanopticQuality), and this script.
set -euo pipefail
expected=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/instance_matching_corners.csv
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet stardist==0.9.2 numba==0.68.1 csbdeep==0.8.2 scikit-image==0.25.2 scipy==1.15.3 \
    numpy==2.2.6 cellseg-metrics==0.2.0 torchmetrics==1.9.0 torch==2.13.0
"$folder/env/bin/python" - "$folder/seen.csv" <<'PYTHON'
import csv
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")  # csbdeep looks for TensorFlow, which `matching` does not need

import cellseg_metrics
import numpy as np
import torch
from stardist.matching import matching
from torchmetrics.detection import PanopticQuality

for package in ("stardist", "cellseg-metrics", "torchmetrics", "torch", "numpy"):
    print(package, version(package))

CORNERS = {  # true and predicted ids, in one row of pixels
    "a perfect prediction": ("7 7 7 7 0 0 0 0", "3 3 3 3 0 0 0 0"),
    "IoU of exactly one half": ("7 7 7 7 0 0 0 0", "3 3 0 0 0 0 0 0"),
    "no nucleus, none predicted": ("0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0"),
    "every nucleus missed": ("7 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0"),
    "no nucleus, one predicted": ("0 0 0 0 0 0 0 0", "3 0 0 0 0 0 0 0"),
}


def stardist(truth, predicted):
    return matching(truth, predicted).panoptic_quality


def cellseg(truth, predicted):
    return cellseg_metrics.panoptic_quality(truth, predicted)["pq"]


def cellseg_ap(truth, predicted):
    scores = {int(nucleus): 0.9 for nucleus in np.unique(predicted[predicted > 0])}
    return cellseg_metrics.precision_recall_ap(truth, predicted, scores)


def torchmetrics(truth, predicted, stuffs, per_class=False):
    """The kind of every pixel is 1 for nuclei, 0 for background; beside it stands its id."""
    metric = PanopticQuality(things={1}, stuffs=stuffs, allow_unknown_preds_category=True, return_per_class=per_class)
    maps = [torch.from_numpy(np.stack([labels > 0, labels], -1).astype(np.int64))[None] for labels in (predicted, truth)]
    return metric(*maps).flatten()[0]  # the nuclei come first


WAYS = {
    "stardist": stardist,
    "cellseg-metrics": cellseg,
    "cellseg-metrics AP": cellseg_ap,
    "torchmetrics": lambda truth, predicted: torchmetrics(truth, predicted, {0}),
    "torchmetrics nuclei": lambda truth, predicted: torchmetrics(truth, predicted, {0}, per_class=True),
    "torchmetrics no background": lambda truth, predicted: torchmetrics(truth, predicted, set()),
}

with open(sys.argv[1], "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["corner", "truth", "predicted", *WAYS])
    for corner, maps in CORNERS.items():
        labels = [np.array([ids.split()], dtype=np.int64) for ids in maps]
        table.writerow([corner, *maps, *(f"{float(way(*labels)):.4f}" for way in WAYS.values())])

whole, half = (np.array([ids.split()], dtype=np.int64) for ids in CORNERS["IoU of exactly one half"])
above = [matching(whole, half, thresh=threshold).tp for threshold in (np.nextafter(0.5, 1), np.nextafter(np.float32(0.5), 1))]
print("stardist: pairs at a threshold of the next float64 and the next float32 above 0.5:", *above)
assert above == [1, 0], "the behaviour has changed"

nucleus = np.array([[7] * 5 + [0] * 9])  # shares 3 pixels with a prediction of 12, and 2 with one of 2
aji = cellseg_metrics.aggregated_jaccard_index(nucleus, np.array([[2, 2] + [1] * 12]))
print(f"cellseg-metrics: aggregated Jaccard index {aji:.4f}; by the largest IoU it is {2 / (5 + 12):.4f}")
assert abs(aji - 3 / (14 + 2)) < 1e-6, "the behaviour has changed"

# On ordinary maps the three agree: discs, a pixel or two beside one another.
rows, columns = np.mgrid[:120, :120]
ordinary = np.zeros((2, 120, 120), np.int64)
for number in range(1, 26):
    y, x = 12 + 24 * ((number - 1) // 5), 12 + 24 * ((number - 1) % 5)
    ordinary[0][(rows - y) ** 2 + (columns - x) ** 2 <= 64] = number
    ordinary[1][(rows - y - number % 5) ** 2 + (columns - x - number % 3) ** 2 <= 60] = 26 - number
found = [WAYS[name](*ordinary) for name in ("stardist", "cellseg-metrics", "torchmetrics nuclei")]
print("25 discs:", *(f"{float(value):.4f}" for value in found))
assert np.ptp(found) < 1e-6 and 0.3 < found[0] < 0.9, "the behaviour has changed"
PYTHON
cat "$folder/seen.csv"
diff "$expected" "$folder/seen.csv" || { echo "the behaviour has changed" >&2; exit 1; }
