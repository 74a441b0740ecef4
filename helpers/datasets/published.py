"""What is read: MoNuSeg, CoNSeP and NuInsSeg as their authors publish them, an image at a time.

`Dataset/README.md` shows the folders that each download unpacks to, and what of it could be checked. Each `find_*`
lists the images of such a folder, each `read_*` reads one of them; both raise an InputError where a folder, a file or
its partner is missing, or a file cannot be read or does not fit.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from helpers.config import CLASS_NAMES
from helpers.data.outlines import fill_outline
from helpers.datasets import published_files as files
from helpers.datasets.imagescope import parse_outlines
from helpers.errors import InputError

# Organ by tissue source site, the first part of a TCGA barcode after "TCGA". The training images are named as MoNuSeg
# lists them: sites 18, 21, 38, 49 and 50 stand there as liver, although TCGA's own table says lung.
SITES = {
    "Bladder": "CU DK G2 ZF",
    "Brain": "FG HT",
    "Breast": "A7 AC AO AR E2",
    "Colon": "A6 AY NH",
    "Kidney": "2Z B0 GL HE IZ",
    "Liver": "18 21 38 49 50",
    "Lung": "44 69",
    "Prostate": "CH EJ G9 HC",
    "Stomach": "KB RD",
}
ORGAN_OF_SITE = {site: organ for organ, sites in SITES.items() for site in sites.split()}
# CoNSeP's types 1-7: other, inflammatory, healthy epithelium, malignant epithelium, fibroblast, muscle, endothelium.
# Three to four and five to seven are one class each in its paper too (Graham et al. 2019). PanNuke has no "other", and
# CoNSeP no dead cells: the one stands in for the other, which is only an approximation.
CONSEP_CLASSES = ("Dead", "Inflammatory", "Epithelial", "Epithelial", "Connective", "Connective", "Connective")
FIELD_PIXELS = 1000  # height and width of an image of MoNuSeg and CoNSeP
NUINSSEG_PIXELS = 512
NUINSSEG_GAIN = 255 / 198  # the published images are dark; the tiles of the control run were brightened so


@dataclass(frozen=True)
class Pair:
    """An image of a download and the file that shows its nuclei."""

    image: Path  # RGB
    labels: Path  # outlines, MATLAB maps or instance ids
    tissue: str  # its organ, or "unknown"
    group: str  # its source; images of one group never belong on both sides of a split


# What is read of a pair, H = W = 1000 but for NuInsSeg:
#   image: `(H, W, 3)` uint8 RGB;
#   instances: `(H, W)` uint16, 0 where no nucleus is;
#   channels: `(H, W)` uint8, PanNuke's channel of each pixel, without meaning outside of nuclei.
Annotated = tuple[np.ndarray, np.ndarray, np.ndarray]


def find_monuseg(folder: Path) -> list[Pair]:
    """List the images of MoNuSeg 2018: one folder each for images and outlines (training), or one for both (test)."""
    apart = (files.find_folder(folder, "Tissue Images"), files.find_folder(folder, "Annotations"))
    images, outlines = apart if any(path.is_dir() for path in apart) else (folder, folder)
    return [
        Pair(image, labels, _organ(image.stem), image.stem)
        for image, labels in files.match_files(images, ".tif", outlines, ".xml")
    ]


def find_consep(folder: Path) -> list[Pair]:
    """List the images of CoNSeP's `Train` or `Test`; each is a group, for their names do not tell the slide."""
    matches = files.match_files(
        files.find_folder(folder, "Images"), ".png", files.find_folder(folder, "Labels"), ".mat"
    )
    return [Pair(image, labels, "Colon", f"consep-{image.stem}") for image, labels in matches]


def find_nuinsseg(folder: Path) -> list[Pair]:
    """List the images of NuInsSeg, organ by organ.

    Its authors took them from 31 slides of 31 organs and do not say which images are neighbours, so all images of an
    organ are one group: whatever the slides are, none is parted.
    """
    organs = [path for path in files.list_folder(folder) if path.is_dir() and path.name != "__MACOSX"]
    if not organs:
        raise InputError(f"{folder}: found no folders, expected one for each organ; give the folder that holds them")
    return [
        Pair(image, labels, organ.name, f"nuinsseg-{organ.name}")
        for organ in organs
        # Not "label masks": where nuclei overlap, ids are added up there, which makes nuclei that do not exist.
        for image, labels in files.match_files(
            files.find_folder(organ, "tissue images"), ".png", files.find_folder(organ, "label masks modify"), ".tif"
        )
    ]


def read_monuseg(pair: Pair) -> Annotated:
    """Read an image of MoNuSeg and fill its outlines, numbered from 1 in the order of the file, all in channel 0."""
    image = files.read_image(pair.image, FIELD_PIXELS)
    instances = np.zeros(image.shape[:2], np.int64)
    for number, outline in enumerate(parse_outlines(pair.labels, files.read_bytes(pair.labels)), 1):
        fill_outline(instances, outline, number)
    return image, files.check_ids(pair.labels, instances, FIELD_PIXELS), np.zeros(image.shape[:2], np.uint8)


def read_consep(pair: Pair) -> Annotated:
    """Read an image of CoNSeP with its instances, as numbered in its MATLAB file, and the channels of their types."""
    image = files.read_image(pair.image, FIELD_PIXELS)
    instances, types = files.read_maps(pair.labels, ("inst_map", "type_map"), FIELD_PIXELS)
    wrong = (instances > 0) & ((types < 1) | (types > len(CONSEP_CLASSES)))
    if wrong.any():
        raise InputError(
            f"{pair.labels}: found a nucleus of type {types[wrong][0]}, expected 1 to {len(CONSEP_CLASSES)}; "
            "give the original download"
        )
    channel_of_type = np.array([0, *map(CLASS_NAMES.index, CONSEP_CLASSES)], np.uint8)
    return image, instances, channel_of_type[np.where(instances > 0, types, 0)]


def read_nuinsseg(pair: Pair) -> Annotated:
    """Read an image of NuInsSeg, halved and brightened: to about 0.3 um/px, and to the white of the other sets.

    Each pixel of the image, 256 x 256, is the mean of a 2 x 2 block times 255/198; the instances, as numbered in the
    file, are halved by `halve_instances`, and all are in channel 0: NuInsSeg names no classes.
    """
    # Floats, so that values are rounded once, at the end.
    image = files.read_image(pair.image, NUINSSEG_PIXELS).astype(np.float32)
    half = (NUINSSEG_PIXELS // 2, NUINSSEG_PIXELS // 2)
    bright = np.rint(cv2.resize(image, half, interpolation=cv2.INTER_AREA) * NUINSSEG_GAIN)
    labels = files.read_label_image(pair.labels, NUINSSEG_PIXELS)
    return np.minimum(bright, 255).astype(np.uint8), halve_instances(labels), np.zeros(half, np.uint8)


def halve_instances(instances: np.ndarray) -> np.ndarray:
    """Halve instance ids: nucleus where at least half of a 2 x 2 block is, with the commonest id, or else the first.

    Integers `(2h, 2w)` become `(h, w)` of the same dtype.

    >>> halve_instances(np.array([[0, 0, 0, 3, 5, 3], [0, 4, 3, 0, 3, 0]]))
    array([[0, 3, 3]])
    """
    height, width = instances.shape
    blocks = instances.reshape(height // 2, 2, width // 2, 2).swapaxes(1, 2).reshape(height // 2, width // 2, 4)
    votes = (blocks[..., :, None] == blocks[..., None, :]).sum(axis=-1) * (blocks > 0)  # (h, w, 4)
    elected = np.take_along_axis(blocks, votes.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    return np.where((blocks > 0).sum(axis=-1) >= 2, elected, 0)


def _organ(name: str) -> str:
    """Give the organ of a TCGA barcode, or "unknown".

    >>> _organ("TCGA-G9-6336-01Z-00-DX1"), _organ("slide")
    ('Prostate', 'unknown')
    """
    project, _, rest = name.partition("-")
    return ORGAN_OF_SITE.get(rest.partition("-")[0], "unknown") if project == "TCGA" else "unknown"
