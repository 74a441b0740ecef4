"""Paints a field of H&E tissue: two stains' concentrations, then the light that passes through them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from helpers.config import CLASS_NAMES
from helpers.sample_tissue.cells import CONNECTIVE, Blob, Canvas, claim, draw, random_waves
from helpers.sample_tissue.tissue import (
    CLUSTER,
    FAT,
    FIELD_SIZE,
    GLAND,
    NEST,
    TISSUES,
    VESSEL,
    Fibres,
    Structure,
    build_nuclei,
    build_structures,
    jittered_grid,
    random_fibres,
)
from helpers.stain import transmitted, unit_rows

BARE_KINDS = ("fat", "glass", "collagen")  # what a quarter without nuclei shows


@dataclass(frozen=True)
class Look:
    """What differs from slide to slide: the laboratory's stains and the scanner's optics."""

    vectors: np.ndarray  # (2, 3) optical density of haematoxylin and eosin
    gains: tuple[float, float]  # how strongly each was taken up
    basophilia: float  # haematoxylin in the cytoplasm
    blue_fibres: float  # haematoxylin in the fibres
    blur: float  # pixels, standard deviation of the defocus
    noise: float  # grey levels
    glass: np.ndarray  # (3,) optical density of the empty slide
    uneven: float  # optical density between the lit and the dim side


def random_look(random: np.random.RandomState) -> Look:
    """Draw a slide's stains and optics."""
    haematoxylin = (random.uniform(0.58, 0.70), random.uniform(0.64, 0.74), random.uniform(0.26, 0.46))
    eosin = (random.uniform(0.06, 0.26), random.uniform(0.90, 0.98), random.uniform(0.16, 0.42))
    return Look(
        vectors=unit_rows(np.array([haematoxylin, eosin])),
        gains=(random.uniform(0.75, 1.15), random.uniform(0.65, 1.35)),
        basophilia=random.uniform(0.06, 0.40),
        blue_fibres=random.uniform(0.0, 0.22),
        blur=random.uniform(0.6, 1.5),
        noise=random.uniform(1.0, 3.0),
        glass=random.uniform(0.02, 0.05) + np.array([0.0, 0.002, random.uniform(0.0, 0.03)]),
        uneven=random.uniform(0.0, 0.14),
    )


def smooth_noise(random: np.random.RandomState, scale: int) -> np.ndarray:
    """Draw noise, float32 (S, S) in about -1 to 1, that changes over `scale` pixels."""
    side = FIELD_SIZE // scale + 1
    coarse = random.uniform(-1.0, 1.0, (side, side)).astype(np.float32)
    return cv2.resize(coarse, (FIELD_SIZE, FIELD_SIZE), interpolation=cv2.INTER_CUBIC)


def fibre_texture(random: np.random.RandomState, fibres: Fibres) -> np.ndarray:
    """Draw collagen, float32 (S, S) in about -1 to 1: stripes along the fibres that fray and fade."""
    coarse = np.linspace(0, FIELD_SIZE, 65)
    height = fibres.height(coarse[:, None], coarse[None, :]).astype(np.float32)
    height = cv2.resize(height, (FIELD_SIZE, FIELD_SIZE), interpolation=cv2.INTER_CUBIC)
    height += 7.0 * smooth_noise(random, 32) + 3.5 * smooth_noise(random, 12) + 1.0 * smooth_noise(random, 4)
    knots = random.uniform(-1.0, 1.0, (2, 2048))
    fine = np.arange(8193) / 4.0
    stripes = 0.55 * np.interp(fine / 11.0, np.arange(2048), knots[0])
    stripes = (stripes + 0.45 * np.interp(fine / 4.0, np.arange(2048), knots[1])).astype(np.float32)
    # Read between two entries, not at the nearest: a last-bit difference in `height` must not show in the image.
    place = (height + 1024.0) * 4.0  # heights lie between about -650 and 850
    below = np.floor(place)
    entry = below.astype(np.int32)
    strand = stripes[entry] + (place - below) * (stripes[entry + 1] - stripes[entry])
    return strand * (0.6 + 0.5 * smooth_noise(random, 32))


def cell_borders(centres: Iterable[tuple[float, float]], reach: float) -> np.ndarray:
    """Draw where neighbouring cells, of given (row, column) centres, meet.

    Returns:
        float32 (S, S): 1 halfway between the two nearest centres, 0 from 4 pixels off it and beyond all cells' reach,
        the radius of a cell that has no neighbour.
    """
    nearest = np.full((FIELD_SIZE, FIELD_SIZE), reach + 4.0, np.float32)
    second = nearest.copy()
    for row, col in centres:
        window = Blob(row, col, (reach, reach)).window(FIELD_SIZE)
        rows, cols = np.ogrid[window]
        down, right = (rows - row).astype(np.float32), (cols - col).astype(np.float32)
        distance = np.sqrt(down * down + right * right)
        first, next_one = nearest[window], second[window]
        np.minimum(next_one, np.maximum(first, distance), out=next_one)
        np.minimum(first, distance, out=first)
    return np.clip(1.0 - (second - nearest) / 4.0, 0.0, 1.0) * np.clip((reach - nearest) / 4.0, 0.0, 1.0)


def paint_stroma(random: np.random.RandomState, look: Look, fibres: Fibres) -> Canvas:
    """Start a canvas with stroma all over: eosin-stained fibres, clefts between them, a little haematoxylin."""
    strands, patches = fibre_texture(random, fibres), smooth_noise(random, 64)
    grain = 0.6 * smooth_noise(random, 4) + 0.7 * smooth_noise(random, 7)
    eosin = 0.29 + 0.24 * strands + 0.08 * patches + 0.03 * grain
    cleft = np.clip((-strands - 0.42 + 0.35 * patches) * 4.0, 0.0, 1.0)  # the section tears along the fibres
    eosin = np.maximum(eosin * (1.0 - 0.85 * cleft), 0.02)
    haematoxylin = 0.04 + 0.3 * look.basophilia + look.blue_fibres * (0.4 + strands) + 0.03 * grain
    haematoxylin *= 1.0 - 0.8 * cleft
    owners = np.zeros((FIELD_SIZE, FIELD_SIZE), np.int32)
    return Canvas(np.maximum(haematoxylin, 0.0), eosin, owners, grain)


def paint_structure(
    random: np.random.RandomState, canvas: Canvas, look: Look, structure: Structure, borders: np.ndarray
) -> None:
    """Lay one structure over the stroma: cytoplasm with its cell borders, lumen, mucin, blood."""
    blob = structure.blob
    window = blob.window(FIELD_SIZE, 1.1)
    haematoxylin, eosin, grain = canvas.haematoxylin[window], canvas.eosin[window], canvas.grain[window]
    if not grain.size:
        return
    level = blob.level_in(window) + 0.04 * grain
    inside = blob.inside(level)
    pink, blue = random.uniform(0.22, 0.46), look.basophilia * random.uniform(0.7, 1.3)
    if structure.name in (GLAND, NEST):
        body_eosin = pink * (1.0 + 0.22 * grain) + 0.10 * borders[window]
        body_blue = blue * (1.0 + 0.35 * grain) + 0.05 * borders[window]
    else:  # lymphocytes have hardly any cytoplasm; vessels and fat cells have a wall
        body_eosin = pink * (0.6 if structure.name == CLUSTER else 1.2) * (1.0 + 0.3 * grain)
        body_blue = blue * 0.8 * (1.0 + 0.3 * grain)
    eosin += inside * (body_eosin - eosin)
    haematoxylin += inside * (body_blue - haematoxylin)
    if structure.mucin:  # goblet cells: pale blue drops between the lumen and the nuclei
        drops = np.clip((0.66 - level) * 8.0, 0.0, 1.0) * (1.0 - borders[window])
        eosin *= 1.0 - 0.75 * drops
        haematoxylin += drops * (0.16 + 0.10 * grain - 0.6 * haematoxylin)
    if structure.lumen:
        hollow = blob.inside(level, structure.lumen, 4.0)
        pink, blue = random.uniform(0.0, 0.25, 2) * random.randint(0, 2, 2) * (structure.name == GLAND)  # secretion
        eosin += hollow * (pink * (0.6 + 0.4 * grain) - eosin)
        haematoxylin += hollow * (blue * (0.8 + 0.4 * grain) - haematoxylin)
    if structure.name == VESSEL:
        paint_blood(random, canvas, blob)


def paint_blood(random: np.random.RandomState, canvas: Canvas, blob: Blob) -> None:
    """Fill a vessel with red cells: strongly eosin-stained discs 7 micrometres wide, without a nucleus."""
    for row, col in jittered_grid(random, 19.0, Blob(blob.row, blob.col, (blob.semi_axes[0] * 0.75,) * 2)):
        disc = Blob(row, col, (random.uniform(10, 13), random.uniform(9, 11)), random.uniform(0, math.pi))
        window = disc.window(FIELD_SIZE)
        level = disc.level_in(window)
        inside = disc.inside(level)
        canvas.eosin[window] += inside * (0.75 + 0.2 * level - canvas.eosin[window])
        canvas.haematoxylin[window] *= 1.0 - inside


def paint_bare(random: np.random.RandomState, canvas: Canvas, kind: str) -> None:
    """Turn the last quarter into fat or glass; collagen is there already."""
    corner = Blob(FIELD_SIZE * 0.98, FIELD_SIZE * 0.98, (FIELD_SIZE * 0.42, FIELD_SIZE * 0.37), 0.8, ((0.08, -0.06),))
    level = corner.level_in(np.s_[0:FIELD_SIZE, 0:FIELD_SIZE]) + 0.02 * canvas.grain
    empty = corner.inside(level, softness=4.0)
    if kind == "fat":  # large white cells with nothing but their membranes between them
        empty *= np.clip(1.15 - 1.4 * cell_borders(jittered_grid(random, 66.0), 90.0), 0.0, 1.0)
    if kind in ("fat", "glass"):
        canvas.eosin *= 1.0 - 0.95 * empty
        canvas.haematoxylin *= 1.0 - 0.95 * empty


def paint_smears(random: np.random.RandomState, canvas: Canvas, fibres: Fibres) -> None:
    """Add what is blue without being a nucleus: crushed chromatin and mucin, blurred streaks along the fibres."""
    for _ in range(random.randint(8, 22)):
        row, col = random.uniform(0, FIELD_SIZE, 2)
        axes = (random.uniform(18, 60), random.uniform(9, 22))
        smear = Blob(row, col, axes, fibres.direction(row, col), random_waves(random, 0.15))
        window = smear.window(FIELD_SIZE)
        level = smear.level_in(window)
        cover = np.maximum(1.0 - level * level, 0.0) * random.uniform(0.25, 0.60)
        cover *= np.clip(5.0 * canvas.eosin[window], 0.0, 1.0)  # on tissue, not in the air of a lumen
        canvas.haematoxylin[window] += cover * (1.0 + 0.35 * canvas.grain[window])


def develop(random: np.random.RandomState, canvas: Canvas, look: Look) -> np.ndarray:
    """Let light through the canvas: stains to density to brightness, uint8 RGB (S, S, 3), with defocus and noise."""
    slope = np.linspace(0.0, look.uneven, FIELD_SIZE, dtype=np.float32)[:, None, None]
    thickness = 1.0 + 0.3 * smooth_noise(random, 128)  # no section is equally thick all over
    stains = np.stack([canvas.haematoxylin * look.gains[0], canvas.eosin * look.gains[1]], axis=-1)
    stains *= thickness[..., None]
    density = np.maximum(stains, 0.0) @ look.vectors.astype(np.float32) + look.glass.astype(np.float32) + slope
    image = cv2.GaussianBlur(transmitted(density), (0, 0), look.blur).astype(np.float32)
    raw = np.frombuffer(random.bytes(image.size), np.uint8).reshape(image.shape)
    image += look.noise * (raw.astype(np.float32) - 127.5) / 74.0  # evenly spread bytes: standard deviation 73.9
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def paint_field(
    random: np.random.RandomState, tissue_name: str, bare: str = "", share_pixels: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Paint a field of tissue and write down which pixel belongs to which nucleus.

    Args:
        random: the slide's stream; the same state paints the same field.
        tissue_name: one of `TISSUES`.
        bare: "" or one of `BARE_KINDS`: what the last quarter shows instead of nuclei.
        share_pixels: leave the pixels of one overlap between two classes to both.

    Returns:
        image: uint8 RGB (512, 512, 3).
        instances: uint16 (512, 512, 5), the id of the nucleus by class; ids are not consecutive.
    """
    tissue, look, fibres = TISSUES[tissue_name], random_look(random), random_fibres(random)
    structures = build_structures(random, tissue, bool(bare))
    nuclei = build_nuclei(random, tissue, structures, fibres, bool(bare))
    canvas = paint_stroma(random, look, fibres)
    cells = [(one.blobs[0].row, one.blobs[0].col) for one in nuclei if one.kind != CONNECTIVE]
    borders = cell_borders(cells, 44.0)
    for structure in sorted(structures, key=lambda one: one.name != FAT):
        paint_structure(random, canvas, look, structure, borders)
    paint_smears(random, canvas, fibres)
    if bare:
        paint_bare(random, canvas, bare)
    instances = np.zeros((FIELD_SIZE, FIELD_SIZE, len(CLASS_NAMES)), np.uint16)
    last_id = 0
    for nucleus in nuclei:
        last_id += random.randint(1, 14)
        if (found := claim(canvas, nucleus)) is None:
            continue
        window, level, taken = found
        free = (level < 1.0) & ~taken
        draw(canvas, nucleus, window, level, taken)
        instances[window][free, nucleus.kind] = last_id
        if share_pixels and taken.any() and not instances[window][taken, nucleus.kind].any():
            instances[window][taken, nucleus.kind] = last_id
            share_pixels = False
        canvas.owners[window][free] = last_id
    return develop(random, canvas, look), instances
