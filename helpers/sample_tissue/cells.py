"""Five kinds of nuclei as an H&E section shows them: their outline, their chromatin, and how they are drawn.

Labels are decided in float64 with sums, products, quotients and square roots alone, which IEEE 754 rounds alike on
every machine. Noise and blur only ever colour a pixel.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from helpers.config import CLASS_NAMES

NEOPLASTIC, INFLAMMATORY, CONNECTIVE, DEAD, EPITHELIAL = range(len(CLASS_NAMES))
MAX_OVERLAP = 0.12  # share of a nucleus that may lie under its neighbours; more would hide one of the two


@dataclass(frozen=True)
class Blob:
    """A star-shaped region: an ellipse whose outline waves. Nuclei, glands and nests are all blobs.

    Attributes:
        row, col: centre, pixels.
        semi_axes: half the length and half the width, pixels.
        angle: of the long axis against the columns, radians.
        waves: (cosine, sine) amplitudes of the outline's 2nd, 3rd, ... harmonic, as shares of the radius.
        bend: how far the ends of the long axis are bent sideways, in units of the half width.
    """

    row: float
    col: float
    semi_axes: tuple[float, float]
    angle: float = 0.0
    waves: tuple[tuple[float, float], ...] = ()
    bend: float = 0.0

    def level(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Measure how far out points lie: 0 in the centre, below 1 inside, 1 on the outline.

        >>> Blob(row=0.0, col=0.0, semi_axes=(4.0, 2.0)).level(np.array([0.0, 2.0]), np.array([2.0, 0.0])).tolist()
        [0.5, 1.0]
        """
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        right, down = cols - self.col, rows - self.row
        along = (right * cosine + down * sine) / self.semi_axes[0]
        across = (down * cosine - right * sine) / self.semi_axes[1]
        if self.bend:
            across = across - self.bend * along * along
        radius = np.sqrt(along * along + across * across)
        if not self.waves:
            return radius
        far = np.maximum(radius, 1e-9)
        first_cos, first_sin = along / far, across / far
        cos, sin, outline = first_cos, first_sin, 1.0
        for cos_share, sin_share in self.waves:
            # The next multiple of the angle by the addition theorem: no arc tangent, no cosine a pixel.
            cos, sin = cos * first_cos - sin * first_sin, sin * first_cos + cos * first_sin
            outline = outline + cos_share * cos + sin_share * sin
        return radius / outline

    def level_in(self, window: tuple[slice, slice]) -> np.ndarray:
        """Measure `level` at the pixels of a window, float32 (h, w): good enough to colour them."""
        rows, cols = np.ogrid[window]
        return self.level(rows.astype(np.float32), cols.astype(np.float32)).astype(np.float32)

    def inside(self, level: np.ndarray, limit: float = 1.0, softness: float = 2.5) -> np.ndarray:
        """Turn levels into cover: 1 below `limit`, 0 above, and a slope about `softness` pixels wide between."""
        return np.clip((limit - level) * (min(self.semi_axes) / softness) + 0.5, 0.0, 1.0)

    def point(self, direction: float, level: float) -> tuple[float, float]:
        """Find the (row, col) at this level in this direction (radians in the blob's own frame; its bend left out)."""
        outline = 1.0
        for order, (cos_share, sin_share) in enumerate(self.waves, start=2):
            outline += cos_share * math.cos(order * direction) + sin_share * math.sin(order * direction)
        along = level * outline * self.semi_axes[0] * math.cos(direction)
        across = level * outline * self.semi_axes[1] * math.sin(direction)
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return self.row + along * sine + across * cosine, self.col + along * cosine - across * sine

    def reach(self) -> float:
        """Bound the distance from the centre to the outline, pixels."""
        waves = sum(abs(cosine) + abs(sine) for cosine, sine in self.waves)
        return max(self.semi_axes) * (1.0 + waves) * (1.0 + abs(self.bend) / 2)

    def window(self, size: int, scale: float = 1.0) -> tuple[slice, slice]:
        """Cut the square around the blob, `scale` times its reach, out of a field of `size` x `size` pixels."""
        half = self.reach() * scale + 2.0

        def span(centre: float) -> slice:
            return slice(min(max(int(centre - half), 0), size), max(min(int(centre + half) + 1, size), 0))

        return span(self.row), span(self.col)


def random_waves(random: np.random.RandomState, strength: float, orders: int = 4) -> tuple[tuple[float, float], ...]:
    """Draw an outline's harmonics 2 to `orders` + 1, higher ones weaker; `strength` 0 leaves an ellipse."""
    return tuple(
        (random.uniform(-strength, strength) / math.sqrt(order), random.uniform(-strength, strength) / math.sqrt(order))
        for order in range(1, orders + 1)
    )


@dataclass(frozen=True)
class Kind:
    """What tells one kind of nucleus from another. Ranges are drawn from evenly; stains are optical densities."""

    half_length: tuple[float, float]  # pixels at 0.25 um
    slimness: tuple[float, float]  # width over length
    irregular: float  # amplitude of the outline's waves
    stain: tuple[float, float]  # haematoxylin inside
    clumps: float  # coarse chromatin, as a share of the stain
    rim: float  # chromatin on the membrane, as a share of the stain
    nucleoli: tuple[int, int]  # from, to (to is left out)
    halo: float = 0.0  # eosin in the shrunken cell around


KINDS = {
    NEOPLASTIC: Kind((16, 29), (0.58, 0.92), 0.085, (0.30, 0.80), 0.60, 0.45, (0, 3)),
    INFLAMMATORY: Kind((11.5, 14.5), (0.84, 1.0), 0.03, (0.65, 1.10), 0.30, 0.10, (0, 1)),
    CONNECTIVE: Kind((17, 34), (0.16, 0.30), 0.04, (0.38, 0.90), 0.25, 0.10, (0, 1)),
    DEAD: Kind((8, 11.5), (0.7, 1.0), 0.14, (1.15, 1.5), 0.05, 0.0, (0, 1), halo=0.22),
    EPITHELIAL: Kind((15, 20), (0.62, 0.86), 0.03, (0.30, 0.65), 0.35, 0.60, (0, 2)),
}


@dataclass(frozen=True)
class Nucleus:
    """One nucleus: its class (0-4), its blobs (a dead one may have broken up into several) and its chromatin."""

    kind: int
    blobs: tuple[Blob, ...]
    stain: float
    nucleoli: tuple[tuple[float, float], ...]

    def level(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Measure as `Blob.level` does, to the nearest of the pieces."""
        return np.minimum.reduce([blob.level(rows, cols) for blob in self.blobs])


def random_nucleus(random: np.random.RandomState, kind: int, row: float, col: float, angle: float) -> Nucleus:
    """Draw a nucleus of class `kind` around (row, col), its long axis at `angle` (radians)."""
    traits = KINDS[kind]
    half = random.uniform(*traits.half_length)
    axes = (half, half * random.uniform(*traits.slimness))
    bend = random.uniform(-0.5, 0.5) if kind == CONNECTIVE else 0.0
    body = Blob(row, col, axes, angle, random_waves(random, traits.irregular), bend)
    pieces = [body]
    if kind == DEAD:  # karyorrhexis: fragments beside the body carry its id, as PanNuke's ids in several pieces do
        for _ in range(random.randint(0, 4)):
            place = body.point(random.uniform(0, 2 * math.pi), random.uniform(1.0, 1.7))
            pieces.append(Blob(*place, (random.uniform(2.5, 4.5),) * 2))
    nucleoli = tuple(
        body.point(random.uniform(0, 2 * math.pi), random.uniform(0.1, 0.55))
        for _ in range(random.randint(*traits.nucleoli))
    )
    return Nucleus(kind, tuple(pieces), random.uniform(*traits.stain), nucleoli)


@dataclass
class Canvas:
    """A square field while it is painted.

    Attributes:
        haematoxylin, eosin: float32 (S, S), optical density along the stain's vector.
        owners: int32 (S, S), the id of the nucleus a pixel belongs to, 0 for none.
        grain: float32 (S, S), chromatin's texture, about -1 to 1.
    """

    haematoxylin: np.ndarray
    eosin: np.ndarray
    owners: np.ndarray
    grain: np.ndarray


def claim(canvas: Canvas, nucleus: Nucleus) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """Find the pixels a nucleus may have, or None where there is no room for it; only `owners` are read.

    Returns:
        its window in the field, its `level` there (float64, h x w), and which pixels lie inside but belong to an
        earlier nucleus (bool, h x w). None if it lies outside the field, hides too much of a neighbour or would be
        cut in two.
    """
    window = nucleus.blobs[0].window(len(canvas.owners), 2.1 if nucleus.kind == DEAD else 1.0)
    rows, cols = np.ogrid[window]
    if not (rows.size and cols.size):
        return None
    level = nucleus.level(rows.astype(np.float64), cols.astype(np.float64))
    inside = level < 1.0
    taken = inside & (canvas.owners[window] > 0)
    area, hidden = np.count_nonzero(inside), np.count_nonzero(taken)
    if area - hidden < 12 or hidden > MAX_OVERLAP * area:
        return None
    if hidden and nucleus.kind != DEAD and cv2.connectedComponents((inside & ~taken).astype(np.uint8))[0] != 2:
        return None
    return window, level, taken


def draw(canvas: Canvas, nucleus: Nucleus, window: tuple[slice, slice], level: np.ndarray, taken: np.ndarray) -> None:
    """Stain a claimed nucleus into the canvas: body, rim, chromatin, nucleoli, and the halo of a dead one."""
    traits, level = KINDS[nucleus.kind], level.astype(np.float32)
    haematoxylin, eosin = canvas.haematoxylin[window], canvas.eosin[window]
    if traits.halo:
        eosin += traits.halo * np.clip(2.3 - level, 0.0, 1.0)
        haematoxylin *= 1.0 - 0.6 * np.clip(2.3 - level, 0.0, 1.0)
    pixels_in = (1.0 - level) * min(nucleus.blobs[0].semi_axes)
    cover = np.clip(pixels_in / 1.6 + 0.5, 0.0, 1.0)
    # Where two overlap the section shows both: the lower one stays, the upper one adds a shade.
    cover = np.where(taken, 0.3 * cover, cover)
    rim = np.clip(1.0 - np.abs(pixels_in - 1.5) / 2.0, 0.0, 1.0)
    chromatin = nucleus.stain * (1.0 + traits.clumps * canvas.grain[window] + traits.rim * rim)
    rows, cols = np.ogrid[window]
    for row, col in nucleus.nucleoli:
        near = np.clip(1.6 - np.hypot(rows - row, cols - col) / 2.6, 0.0, 1.0).astype(np.float32)
        chromatin += 0.40 * near
        eosin += 0.20 * near * cover
    haematoxylin += cover * (np.maximum(chromatin, 0.12) - 0.75 * haematoxylin)
    eosin -= 0.3 * cover * eosin
