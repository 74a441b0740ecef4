"""Augmentation: image and mask move together, nothing comes in from outside, and colour steps do what stains do."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors

from helpers.config import AUGMENTATIONS
from helpers.data.augmentation import StainJitter, Warp, build_augmentation
from helpers.errors import InputError
from helpers.sample_tissue.sample import sample_tiles
from helpers.stain import STAIN_VECTORS, WHITE, separate_stains

GEOMETRY = ("flips", "turns", "scale", "elastic")
COLOUR = ("stain", "colour", "blur", "noise")
SIZE = 64
ROUNDING = 1e-5  # of interpolation in float32, which adds up weights that are 1 in sum


def augment(names: Sequence[str], seed: int, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Draw one augmented pair."""
    torch.manual_seed(seed)
    transform = build_augmentation(names)
    image, mask = transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
    assert isinstance(image, tv_tensors.Image)
    assert isinstance(mask, tv_tensors.Mask)
    return image.as_subclass(Tensor), mask.as_subclass(Tensor)


@pytest.fixture(scope="module")
def tile() -> tuple[Tensor, Tensor]:
    """A sample tile of 256 pixels: image `(3, 256, 256)` uint8, mask `(1, 256, 256)` float."""
    (tile,) = sample_tiles(1)
    mask = torch.from_numpy(tile.masks[..., :-1].any(-1))[None].float()
    return torch.from_numpy(tile.image).permute(2, 0, 1).contiguous(), mask


@pytest.fixture(scope="module")
def blobs() -> tuple[Tensor, Tensor]:
    """Blobs without thin parts, which a warp may lose: an image whose three channels are the mask, and the mask."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 1, 5, 5, generator=generator)
    mask = (F.interpolate(noise, size=SIZE, mode="bicubic", align_corners=False)[0] > 0.55).float()
    assert 0.2 < mask.mean() < 0.5
    return mask.expand(3, -1, -1).clone(), mask


# Image and mask.


def draws_that_change(names: Sequence[str], pair: tuple[Tensor, Tensor], count: int = 30) -> list:
    """Draw some pairs and leave out those that chance left as they were."""
    drawn = [augment(names, seed, *pair) for seed in range(count)]
    changed = [(image, mask) for image, mask in drawn if not torch.equal(mask, pair[1])]
    assert len(changed) >= count // 4
    return changed


@pytest.mark.parametrize("names", [("flips",), ("turns",), ("flips", "turns")])
def test_whole_turns_take_the_mask_along_exactly(names, blobs):
    for image, mask in draws_that_change(names, blobs):
        assert torch.equal(image, mask.expand(3, -1, -1))


@pytest.mark.parametrize("names", [("scale",), ("elastic",), GEOMETRY])
def test_warps_take_the_mask_along(names, blobs):
    for image, mask in draws_that_change(names, blobs):
        # The image is interpolated and the mask read at the nearest pixel, so they differ on the outlines alone, and
        # where a mirrored blob is less than a pixel wide.
        widened, narrowed = F.max_pool2d(mask, 3, 1, 1), -F.max_pool2d(-mask, 3, 1, 1)
        inside = widened == narrowed
        assert inside.float().mean() > 0.2
        difference = (image - mask).abs()
        assert (difference[:, inside[0]] > ROUNDING).float().mean() < 0.002
        assert ((image[:1] > 0.5) != mask.bool()).float().mean() < 0.03  # where bilinear and nearest round apart


@pytest.mark.parametrize("names", [*((name,) for name in AUGMENTATIONS), AUGMENTATIONS])
def test_masks_stay_masks(names, blobs):
    for seed in range(10):
        _, mask = augment(names, seed, *blobs)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert mask.dtype == blobs[1].dtype


@pytest.mark.parametrize("name", COLOUR)
def test_colour_steps_leave_masks_alone_and_change_images(name, tile):
    changed = 0
    for seed in range(20):
        image, mask = augment((name,), seed, *tile)
        assert torch.equal(mask, tile[1])
        changed += not torch.allclose(image, tile[0] / 255, atol=1e-3)
    assert changed > 0


def test_share_of_nuclei_is_kept(tile):
    image, mask = (part[..., ::2, ::2] for part in tile)
    shares = [augment(AUGMENTATIONS, seed, image, mask)[1].mean().item() for seed in range(100)]
    assert np.median(shares) == pytest.approx(mask.mean().item(), rel=0.2)
    assert min(shares) > 0


# Turns and flips.


def symmetries(image: Tensor) -> list[Tensor]:
    """Give the four turns of an image, then those of its mirror image."""
    return [torch.rot90(start, turns, (-2, -1)) for start in (image, image.flip(-1)) for turns in range(4)]


@pytest.mark.parametrize(
    ("names", "reached"),
    [(("turns",), {0, 1, 2, 3}), (("flips",), {0, 2, 4, 6}), (("flips", "turns"), set(range(8)))],
)
@pytest.mark.parametrize("size", [32, 33])
def test_turns_and_flips_reach_their_symmetries_without_loss(names, reached, size):
    image = torch.rand(3, size, size, generator=torch.Generator().manual_seed(0))
    expected = symmetries(image)
    found = set()
    for seed in range(80):
        drawn, _ = augment(names, seed, image, torch.zeros(1, size, size))
        (number,) = (number for number, symmetry in enumerate(expected) if torch.equal(drawn, symmetry))
        found.add(number)
    assert found == reached


# Warps.


@pytest.mark.parametrize("names", [("scale",), ("elastic",), ("scale", "elastic")])
def test_no_empty_corner_comes_into_view(names):
    image, mask = torch.full((3, 32, 32), 0.7), torch.ones(1, 32, 32)
    for seed in range(300):
        drawn, drawn_mask = augment(names, seed, image, mask)
        assert (drawn - 0.7).abs().max() < ROUNDING
        assert drawn_mask.min() == 1


def test_beyond_the_border_lies_the_mirror_image():
    # Read 4 pixels further left and up: what comes into view there is the tile's own border, mirrored.
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(256.0).view(1, 16, 16)
    rows, columns = np.indices((16, 16), np.float32) - 4
    for values, kind in ((image, tv_tensors.Image), (mask, tv_tensors.Mask)):
        moved = Warp().transform(kind(values), {"columns": columns, "rows": rows}).as_subclass(Tensor)
        expected = F.pad(values, (4, 0, 4, 0), mode="reflect")[:, :16, :16]
        torch.testing.assert_close(moved, expected, atol=1e-6, rtol=0)


def test_corners_stay_filled_at_the_limits_of_the_draw(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, low, high: self.fill_(low))  # scale 0.8
    monkeypatch.setattr(torch, "rand", lambda *shape: torch.zeros(*shape))  # -10 degrees, shear -5, bent
    monkeypatch.setattr(torch, "randn", lambda *shape: torch.full(shape, 4.0))  # four standard deviations
    transform = build_augmentation(("scale", "elastic"))
    image, mask = transform(tv_tensors.Image(torch.ones(3, 128, 128)), tv_tensors.Mask(torch.ones(1, 128, 128)))
    assert image.min() > 1 - ROUNDING
    assert mask.min() == 1


def test_scale_is_drawn_from_its_range():
    # A disc in the middle: turning and shearing keep its area, so the area tells the scale.
    rows, columns = np.mgrid[:128, :128] - 63.5
    disc = torch.from_numpy(rows**2 + columns**2 < 20**2)[None].float()
    image = disc.expand(3, -1, -1)
    scales = [(augment(("scale",), seed, image, disc)[0][0].sum() / disc.sum()).sqrt().item() for seed in range(200)]
    assert 0.79 < min(scales) < 0.83
    assert 1.21 < max(scales) < 1.26
    assert np.mean(scales) == pytest.approx((0.8 + 1.25) / 2, abs=0.03)


def displacement(warp: Warp, size: int) -> np.ndarray:
    """Draw where the pixels of a tile are read, from where they are: `(2, size, size)` columns and rows, in pixels."""
    params = warp.make_params([torch.zeros(3, size, size)])
    rows, columns = np.indices((size, size))
    return np.stack([params["columns"] - columns, params["rows"] - rows])


def test_a_warp_of_nothing_is_the_identity(tile):
    for kind, values in ((tv_tensors.Image, tile[0] / 255), (tv_tensors.Mask, tile[1])):
        torch.manual_seed(0)
        assert torch.equal(Warp(affine=False, elastic=False)(kind(values)).as_subclass(Tensor), values)


def test_displacements_have_the_promised_spread():
    size = 65
    torch.manual_seed(0)
    drawn = [displacement(Warp(affine=False, nodes=5, sigma=0.02), size) for _ in range(800)]
    pixels = np.stack([one for one in drawn if one.any()])  # (n, 2, size, size)
    assert len(pixels) == pytest.approx(400, abs=60)  # every other tile, to four standard errors
    nodes = pixels[:, :, :: (size - 1) // 4, :: (size - 1) // 4]
    assert nodes.shape[1:] == (2, 5, 5)
    assert nodes.std() == pytest.approx(0.02 * size, rel=0.03)  # 20,000 draws: six standard errors
    assert abs(nodes.mean()) < 0.05 * 0.02 * size
    assert 0.75 * 0.02 * size < pixels.std() < 0.02 * size  # in between two draws are averaged
    # The two directions and the nodes are drawn apart.
    correlations = np.corrcoef(nodes.reshape(len(nodes), 50).T) - np.eye(50)
    assert np.abs(correlations).max() < 0.25


def test_image_and_mask_move_by_the_displacement():
    # A ramp shows where each pixel was read: in columns along x, in rows along y. So does a mask that counts pixels.
    size = 64
    ramp = torch.linspace(0, 1, size).expand(size, size)
    image = tv_tensors.Image(torch.stack([ramp, ramp.T, ramp]))
    mask = tv_tensors.Mask(torch.arange(float(size * size)).view(1, size, size))
    torch.manual_seed(1)
    params = Warp().make_params([image])
    moved, moved_mask = (Warp().transform(one, params).as_subclass(Tensor).numpy() for one in (image, mask))
    inside = np.logical_and.reduce([(values >= 0) & (values <= size - 1) for values in params.values()])
    assert 0.5 < inside.mean() < 1
    for channel, read in ((0, params["columns"]), (1, params["rows"])):
        # OpenCV reads at 32nds of a pixel.
        np.testing.assert_allclose(moved[channel][inside] * (size - 1), read[inside], atol=1 / 32)
    row, column = np.divmod(moved_mask[0], size)
    for found, read in ((column, params["columns"]), (row, params["rows"])):
        assert np.abs(found - read)[inside].max() <= 0.5 + 1 / 32


def test_affine_turns_around_the_middle_and_by_as_much_as_is_promised():
    torch.manual_seed(0)
    size, turns = 33, []
    for _ in range(300):
        drawn = displacement(Warp(elastic=False), size)
        assert np.abs(drawn[:, size // 2, size // 2]).max() < 1e-4
        matrix = np.eye(2) + np.stack([drawn[:, 16, 17], drawn[:, 17, 16]], axis=1)  # what a step of a pixel leads to
        inverse = np.linalg.inv(matrix)
        assert 0.8**2 * 0.99 < np.linalg.det(inverse) < 1.25**2 * 1.01
        turns.append(np.rad2deg(np.arctan2(inverse[1, 0], inverse[0, 0])))
    assert 9 < np.abs(turns).max() < 15.1  # 10 of the turn, 5 of the shear


def test_numbers_of_nuclei_survive_every_step():
    generator = np.random.default_rng(0)
    numbers = generator.choice([0, 1, 255, 256, 32_768, 65_535], (2, SIZE, SIZE))
    image = torch.from_numpy(generator.random((3, SIZE, SIZE), np.float32))
    for seed in range(20):
        _, mask = augment(AUGMENTATIONS, seed, image, torch.from_numpy(numbers.astype(np.float32)))
        assert mask.shape == (2, SIZE, SIZE)
        assert set(mask.unique().tolist()) <= {0, 1, 255, 256, 32_768, 65_535}


# Stains.


def jitter(pixel: Sequence[float], factors: Sequence[float], shifts: Sequence[float] = (0, 0, 0)) -> Tensor:
    """Change the stains of one pixel, RGB in [0, 1]."""
    image = tv_tensors.Image(torch.tensor(pixel, dtype=torch.float32).view(3, 1, 1))
    params = {"factors": torch.tensor(factors), "shifts": torch.tensor(shifts, dtype=torch.float32)}
    return StainJitter().transform(image, params).as_subclass(Tensor).flatten()


def brightness(density: np.ndarray) -> np.ndarray:
    """Give the RGB in [0, 1] of an optical density, by Beer-Lambert: I + 1 = 256 * 10^-density."""
    return (WHITE * 10.0**-density - 1) / 255


def test_no_strength_and_no_shift_is_the_identity(tile):
    image = tv_tensors.Image(tile[0] / 255)
    torch.testing.assert_close(StainJitter(0.0, 0.0)(image).as_subclass(Tensor), tile[0] / 255, atol=1e-5, rtol=0)


@pytest.mark.parametrize("stain", [0, 1])
def test_factor_on_a_pure_stain_by_hand(stain):
    density = 0.6 * STAIN_VECTORS[stain]
    factors = [1.0, 1.0, 1.0]
    factors[stain] = 1.25
    np.testing.assert_allclose(jitter(brightness(density), factors), brightness(1.25 * density), atol=1e-5)
    # A factor on the other stain and on what is left over changes nothing: there is none of it.
    others = [1.25, 0.8, 1.4]
    others[stain] = 1.0
    np.testing.assert_allclose(jitter([1.0, 1.0, 1.0], others), 1.0, atol=1e-6)  # glass stays glass
    np.testing.assert_allclose(jitter(brightness(density), others), brightness(density), atol=1e-5)


def test_stains_of_a_mixture_change_apart():
    concentrations = np.array([0.7, 0.3])
    changed = jitter(brightness(concentrations @ STAIN_VECTORS), [0.8, 1.2, 1.0], [0.02, -0.01, 0.0])
    expected = (concentrations * (0.8, 1.2) + (0.02, -0.01)) @ STAIN_VECTORS
    np.testing.assert_allclose(changed, brightness(expected), atol=1e-5)
    # And so a program that separates the stains finds them, to half a grey level.
    found = separate_stains((changed * 255).round().byte().numpy()[None, None])[0, 0]
    np.testing.assert_allclose(found, [0.7 * 0.8 + 0.02, 0.3 * 1.2 - 0.01], atol=0.02)


def test_factors_and_shifts_are_drawn_from_their_ranges():
    torch.manual_seed(0)
    drawn = [StainJitter(0.25, 0.03).make_params([]) for _ in range(1000)]
    factors, shifts = (torch.stack([params[name] for params in drawn]) for name in ("factors", "shifts"))
    assert factors.shape == shifts.shape == (1000, 3)
    # (lowest, highest) of 1000 draws stand within 1 % of the range from its ends, but for 1 in 10,000.
    for values, low, high in ((factors, 0.75, 1.25), (shifts, -0.03, 0.03)):
        assert bool(((values >= low) & (values <= high)).all())
        assert bool((values.amin(0) < low + 0.01 * (high - low)).all())
        assert bool((values.amax(0) > high - 0.01 * (high - low)).all())
    assert torch.corrcoef(torch.cat([factors, shifts], dim=1).T).fill_diagonal_(0).abs().max() < 0.15


# What comes out.


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("names", [*((name,) for name in AUGMENTATIONS), AUGMENTATIONS])
def test_blank_tiles_survive(level, names):
    image, mask = torch.full((3, 32, 32), level, dtype=torch.uint8), torch.zeros(1, 32, 32)
    for seed in range(25):
        drawn, drawn_mask = augment(names, seed, image, mask)
        assert bool(torch.isfinite(drawn).all())
        assert drawn.min() >= -ROUNDING
        assert drawn.max() <= 1 + ROUNDING
        assert not drawn_mask.any()
        if set(names) <= set(GEOMETRY):
            assert (drawn - level / 255).abs().max() < ROUNDING


@pytest.mark.parametrize("size", [32, 128, 256])
@pytest.mark.parametrize("names", [(), ("flips",), ("scale",), AUGMENTATIONS])
def test_sizes_and_types(size, names, tile):
    image, mask = (part[..., :size, :size] for part in tile)
    drawn, drawn_mask = augment(names, 0, image, mask)
    assert (drawn.shape, drawn.dtype) == ((3, size, size), torch.float32)
    assert (drawn_mask.shape, drawn_mask.dtype) == ((1, size, size), torch.float32)
    assert 0 <= drawn.min() < drawn.max() <= 1 + ROUNDING


def small(tile: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Cut a corner out of a tile."""
    return tuple(part[..., :SIZE, :SIZE].clone() for part in tile)


def test_whole_numbers_and_fractions_give_the_same(tile):
    image, mask = small(tile)
    first, second = (augment(AUGMENTATIONS, 5, start, mask) for start in (image, image / 255))
    torch.testing.assert_close(first, second, atol=ROUNDING, rtol=0)


def test_nothing_named_changes_nothing(tile):
    image, mask = augment((), 0, *tile)
    torch.testing.assert_close(image, tile[0] / 255, atol=1e-7, rtol=0)
    assert torch.equal(mask, tile[1])


def test_seed_decides_all_and_the_order_of_the_names_nothing(tile):
    given, before = small(tile), small(tile)
    first, again, other = (augment(AUGMENTATIONS, seed, *given) for seed in (3, 3, 4))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    assert all(map(torch.equal, first, augment(AUGMENTATIONS[::-1], 3, *given)))
    assert all(map(torch.equal, given, before))  # what is given is not changed


@pytest.mark.parametrize("names", [("flip",), ("flips", "rain", "fog")])
def test_unknown_names_are_refused(names):
    with pytest.raises(InputError) as caught:
        build_augmentation(names)
    unknown = sorted(set(names) - {"flips"})
    assert str(caught.value) == f"augmentation {unknown}: expected names among {', '.join(AUGMENTATIONS)}"
