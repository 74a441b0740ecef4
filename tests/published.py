"""Small downloads in the folders and formats of three public sets: noise for images, squares for nuclei."""

from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

Square = tuple[int, int, int, int]  # left, top, right, bottom: the pixels left <= column < right, top <= row < bottom


def noise(size: int, seed: int = 0) -> np.ndarray:
    """Give a `(size, size, 3)` uint8 RGB image that is different everywhere."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def write_image(path: Path, image: np.ndarray) -> Path:
    """Write an RGB image, or ids, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    return path


def corners(square: Square) -> list[tuple[int, int]]:
    """Give the corners of a square as x and y."""
    left, top, right, bottom = square
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def outlines_xml(*outlines: list[tuple[float, float]]) -> str:
    """Write outlines as ImageScope does."""
    regions = [
        f'<Region Id="{number}" Type="0" Zoom="1" NegativeROA="0"><Attributes/><Vertices>'
        + "".join(f'<Vertex X="{x:.6f}" Y="{y:.6f}" Z="0.000000"/>' for x, y in outline)
        + "</Vertices></Region>"
        for number, outline in enumerate(outlines, 1)
    ]
    return (
        '<Annotations MicronsPerPixel="0.252000"><Annotation Id="1" Name="" Type="4">'
        '<Attributes><Attribute Name="Description" Id="0" Value=""/></Attributes>'
        '<Regions><RegionAttributeHeaders><AttributeHeader Id="9999" Name="Region"/></RegionAttributeHeaders>'
        + "".join(regions)
        + "</Regions><Plots/></Annotation></Annotations>"
    )


def write_monuseg(folder: Path, images: dict[str, np.ndarray], squares: list[Square], apart: bool = True) -> Path:
    """Write images by name, with the same squares outlined in each.

    Args:
        folder: what the download unpacks to.
        images: `(1000, 1000, 3)` by stem.
        squares: the nuclei.
        apart: in two folders as the training part, or in one as the test part.
    """
    outlines = folder / "Annotations" if apart else folder
    outlines.mkdir(parents=True)
    for stem, image in images.items():
        write_image((folder / "Tissue Images" if apart else folder) / f"{stem}.tif", image)
        (outlines / f"{stem}.xml").write_text(outlines_xml(*map(corners, squares)), encoding="utf-8")
    return folder


def write_consep(folder: Path, images: dict[str, np.ndarray], nuclei: dict[int, tuple[int, Square]]) -> Path:
    """Write images by name, each with the same nuclei: id to type (1-7) and place."""
    maps = {"inst_map": np.zeros((1000, 1000)), "type_map": np.zeros((1000, 1000))}
    for number, (kind, (left, top, right, bottom)) in nuclei.items():
        maps["inst_map"][top:bottom, left:right] = number
        maps["type_map"][top:bottom, left:right] = kind
    (folder / "Labels").mkdir(parents=True)
    for stem, image in images.items():
        write_image(folder / "Images" / f"{stem}.png", image)
        # The type and the centre of each nucleus, which the maps say too.
        types = np.array([[kind] for kind, _ in nuclei.values()], float)
        centres = np.array([[left + right, top + bottom] for _, (left, top, right, bottom) in nuclei.values()]) / 2
        beside = {"inst_type": types, "inst_centroid": centres}
        savemat(folder / "Labels" / f"{stem}.mat", maps | beside, do_compression=True)
    return folder


def write_nuinsseg(folder: Path, organs: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]) -> Path:
    """Write images and ids, `(512, 512, 3)` uint8 and `(512, 512)` uint16, by organ and stem."""
    for organ, pairs in organs.items():
        for stem, (image, ids) in pairs.items():
            write_image(folder / organ / "tissue images" / f"{stem}.png", image)
            write_image(folder / organ / "label masks modify" / f"{stem}.tif", ids)
            # What lies beside them in the download, and is not to be read.
            write_image(folder / organ / "mask binary" / f"{stem}.png", ((ids > 0) * 255).astype(np.uint8))
            write_image(folder / organ / "label masks" / f"{stem}.tif", ids + 1)
    return folder
