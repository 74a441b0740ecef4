"""How a piece of tissue is built: glands around lumens, nests of tumour, fibres, lymphocytes, fat, vessels.

This room decides where things lie and which nuclei they hold; `cells` draws single nuclei, `field` paints
everything between them.
"""

import math
from dataclasses import dataclass

import numpy as np

from helpers.sample_tissue.cells import (
    CONNECTIVE,
    DEAD,
    EPITHELIAL,
    INFLAMMATORY,
    NEOPLASTIC,
    Blob,
    Nucleus,
    random_nucleus,
    random_waves,
)

FIELD_SIZE = 512  # pixels: two tiles of 256 by two

DYING = 0.06  # share of a tumour's nuclei that are drawn dead

GLAND, NEST, CLUSTER, FAT, VESSEL = "gland", "nest", "cluster", "fat", "vessel"


@dataclass(frozen=True)
class Part:
    """So many structures of one kind: how many (from, to, both included) and how large (radius from, to, pixels)."""

    name: str
    count: tuple[int, int]
    radius: tuple[float, float]


@dataclass(frozen=True)
class Tissue:
    """A tissue: its parts, how often it is a tumour, its lumens and how far apart the stroma's nuclei lie."""

    parts: tuple[Part, ...]
    malignant: float  # probability that a slide's glands and nests are neoplastic
    lumen: float = 0.35  # radius of a gland's lumen over the gland's
    spacing: float = 38.0  # pixels between the nuclei of nests
    stroma_spacing: float = 58.0  # pixels between the nuclei of stroma
    mucin: float = 0.0  # probability that a benign gland holds goblet cells


# Named as PanNuke names them.
TISSUES = {
    "Breast": Tissue(
        (Part(NEST, (4, 7), (65, 125)), Part(GLAND, (1, 3), (55, 75)), Part(CLUSTER, (1, 2), (45, 80)),
         Part(FAT, (0, 3), (35, 50))), malignant=0.85, lumen=0.3, spacing=38.0),
    "Colon": Tissue(
        (Part(GLAND, (6, 9), (72, 110)), Part(CLUSTER, (2, 3), (40, 70)), Part(VESSEL, (0, 2), (26, 42))),
        malignant=0.6, lumen=0.38, stroma_spacing=50.0, mucin=0.7),
    "Kidney": Tissue(
        (Part(NEST, (0, 1), (90, 120)), Part(GLAND, (12, 18), (48, 66)), Part(VESSEL, (1, 2), (24, 36)),
         Part(CLUSTER, (0, 2), (35, 60))), malignant=0.5, lumen=0.28, spacing=42.0, stroma_spacing=50.0),
    "Liver": Tissue(
        (Part(NEST, (3, 4), (140, 210)), Part(VESSEL, (1, 3), (22, 40)), Part(CLUSTER, (1, 2), (40, 70))),
        malignant=0.6, spacing=48.0),
    "Prostate": Tissue(
        (Part(GLAND, (5, 7), (70, 115)), Part(NEST, (1, 3), (50, 80)), Part(CLUSTER, (1, 2), (40, 60))),
        malignant=0.7, lumen=0.48, spacing=38.0),
}  # fmt: skip


@dataclass(frozen=True)
class Structure:
    """One gland, nest, cluster, fat cell or vessel of a field, and the class of its nuclei."""

    name: str
    blob: Blob
    kind: int
    lumen: float = 0.0  # level below which it is hollow
    mucin: bool = False


@dataclass(frozen=True)
class Fibres:
    """The stroma's direction: fibres run along the level lines of a slowly waving function of the place."""

    angle: float
    waves: tuple[tuple[float, float, float, float], ...]  # amplitude, frequency by row and by column, phase

    def height(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Evaluate the function, in pixels across the fibres."""
        height = rows * math.cos(self.angle) - cols * math.sin(self.angle)
        for amplitude, by_row, by_col, phase in self.waves:
            height = height + amplitude * np.sin(by_row * rows + by_col * cols + phase)
        return height

    def direction(self, row: float, col: float) -> float:
        """Find the angle of the fibre through a point, radians against the columns: at right angles to the slope."""
        down, right = math.cos(self.angle), -math.sin(self.angle)
        for amplitude, by_row, by_col, phase in self.waves:
            slope = amplitude * math.cos(by_row * row + by_col * col + phase)
            down, right = down + slope * by_row, right + slope * by_col
        return math.atan2(-right, down)


def random_fibres(random: np.random.RandomState) -> Fibres:
    """Draw a direction and three long waves (150 to 500 pixels)."""
    waves = []
    for _ in range(3):
        frequency, heading = 2 * math.pi / random.uniform(150, 500), random.uniform(0, 2 * math.pi)
        amplitude = random.uniform(0.15, 0.45) / frequency  # slopes below 1 on the whole: waves, no knots
        by_row, by_col = frequency * math.sin(heading), frequency * math.cos(heading)
        waves.append((amplitude, by_row, by_col, random.uniform(0, 2 * math.pi)))
    return Fibres(random.uniform(0, math.pi), tuple(waves))


def reaches_bare(row: float, col: float, distance: float) -> bool:
    """Say whether a disc reaches the field's last quarter (its lower right tile)."""
    half = FIELD_SIZE // 2
    return row + distance >= half and col + distance >= half


def build_structures(random: np.random.RandomState, tissue: Tissue, bare: bool) -> list[Structure]:
    """Place a tissue's structures so that they hardly touch, large parts first; not all of them find room.

    If `bare`, the last quarter of the field is kept free of them.
    """
    malignant = random.uniform() < tissue.malignant
    structures: list[Structure] = []
    for part in tissue.parts:
        for _ in range(random.randint(part.count[0], part.count[1] + 1)):
            radius = random.uniform(*part.radius)
            for _attempt in range(40):
                row, col = random.uniform(-0.1, 1.1, 2) * FIELD_SIZE
                near = any(
                    math.hypot(row - other.blob.row, col - other.blob.col) < 0.92 * (radius + other.blob.semi_axes[0])
                    for other in structures
                )
                if not near and not (bare and reaches_bare(row, col, radius)):
                    break
            else:
                continue  # no room left for this one
            wave = {GLAND: 0.10, NEST: 0.14, CLUSTER: 0.2, FAT: 0.03, VESSEL: 0.05}[part.name]
            axes = (radius, radius * random.uniform(0.72, 1.0))
            blob = Blob(row, col, axes, random.uniform(0, math.pi), random_waves(random, wave, 5))
            own = NEOPLASTIC if malignant else EPITHELIAL
            kind = {CLUSTER: INFLAMMATORY, FAT: CONNECTIVE, VESSEL: CONNECTIVE}.get(part.name, own)
            lumen = {GLAND: tissue.lumen * random.uniform(0.7, 1.2), VESSEL: 0.8, FAT: 0.94}.get(part.name, 0.0)
            mucin = part.name == GLAND and not malignant and random.uniform() < tissue.mucin
            structures.append(Structure(part.name, blob, kind, lumen, mucin))
    return structures


def jittered_grid(random: np.random.RandomState, spacing: float, blob: Blob | None = None) -> np.ndarray:
    """Scatter points, float64 (N, 2) row and column, evenly but not regularly over the field or within `blob`."""
    steps = int(FIELD_SIZE / spacing) + 3
    rows, cols = np.mgrid[-1 : steps - 1, -1 : steps - 1].astype(np.float64)
    points = np.stack([rows, cols + 0.5 * (rows % 2)], axis=-1).reshape(-1, 2) * spacing  # every other row is set off
    points += random.uniform(-0.33, 0.33, points.shape) * spacing
    return points if blob is None else points[blob.level(points[:, 0], points[:, 1]) < 0.93]


def structure_nuclei(random: np.random.RandomState, structure: Structure, tissue: Tissue) -> list[Nucleus]:
    """Draw the nuclei of one structure where they want to lie; not all of them will find room."""
    blob, kind, nuclei = structure.blob, structure.kind, []
    if structure.name in (GLAND, VESSEL, FAT):
        around = 2 * math.pi * math.sqrt(blob.semi_axes[0] * blob.semi_axes[1])
        step = {GLAND: 29.0 if kind == EPITHELIAL else 31.0, VESSEL: 55.0, FAT: 150.0}[structure.name]
        # Epithelium keeps its nuclei at its base, in one row; in a tumour they pile up.
        depth, spread = (0.80, 0.04) if kind == EPITHELIAL else (0.76, 0.14)
        layers = 2 if structure.name == GLAND and kind == NEOPLASTIC and blob.semi_axes[0] > 62 else 1
        for layer in range(layers):
            count = max(int(around * (1.0 - 0.3 * layer) / step), 2)
            turn = random.uniform(0, 2 * math.pi)
            for place in range(count):
                direction = turn + 2 * math.pi * (place + random.uniform(-0.25, 0.25)) / count
                if structure.name == GLAND:
                    level = depth - 0.24 * layer + random.uniform(-spread, spread)
                    angle = blob.angle + direction + random.uniform(-0.3, 0.3)
                else:  # endothelium and fat cells' nuclei are pressed flat against the wall
                    level, angle = 0.97, blob.angle + direction + math.pi / 2
                chosen = DEAD if kind == NEOPLASTIC and random.uniform() < DYING else kind
                nuclei.append(random_nucleus(random, chosen, *blob.point(direction, level), angle))
    else:
        spacing = 26.0 if structure.name == CLUSTER else tissue.spacing * (0.92 if kind == EPITHELIAL else 1.0)
        guests = INFLAMMATORY if structure.name == NEST else CONNECTIVE
        for row, col in jittered_grid(random, spacing, blob):
            fate, angle = random.uniform(), random.uniform(0, math.pi)
            chosen = DEAD if fate < DYING and kind == NEOPLASTIC else guests if fate > 0.94 else kind
            if fate < 0.88 or fate > 0.92:  # a gap here and there
                nuclei.append(random_nucleus(random, chosen, row, col, angle))
    return nuclei


def build_nuclei(
    random: np.random.RandomState, tissue: Tissue, structures: list[Structure], fibres: Fibres, bare: bool
) -> list[Nucleus]:
    """Draw all nuclei that a field would hold if there were room, in the order in which they claim their pixels.

    Those of the structures come first; stroma lies outside of them, and its spindle-shaped nuclei along the fibres. If
    `bare`, all nuclei that would reach the last quarter are left out.
    """
    nuclei = [nucleus for structure in structures for nucleus in structure_nuclei(random, structure, tissue)]
    spindles = (0.62, 0.92)[int(random.uniform() < 0.6)]  # inflamed stroma, or quiet
    for row, col in jittered_grid(random, tissue.stroma_spacing):
        fate, skew = random.uniform(), random.uniform(-0.2, 0.2)
        free = all(structure.blob.level(np.float64(row), np.float64(col)) > 1.08 for structure in structures)
        if free and fate < 0.85:
            kind = CONNECTIVE if fate < 0.85 * spindles else DEAD if fate > 0.825 else INFLAMMATORY
            nuclei.append(random_nucleus(random, kind, row, col, fibres.direction(row, col) + skew))

    def in_bare(nucleus: Nucleus) -> bool:
        return bare and any(reaches_bare(blob.row, blob.col, blob.reach() + 3) for blob in nucleus.blobs)

    return [nucleus for nucleus in nuclei if not in_bare(nucleus)]
