"""From a fold of 12 GB to a cache of a few hundred megabytes at the size the network sees, once."""

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path
from tqdm import tqdm

from helpers.data.arrays import growing
from helpers.data.cache import DESCRIPTION, Cache, key_of, open_cache
from helpers.data.fold import Fold, Tiles, find_folds, official_numbers
from helpers.data.masks import Numbers
from helpers.data.suspicions import warn_of
from helpers.errors import InputError
from helpers.files import check_free_disk, write_json
from helpers.paths import as_path
from helpers.preprocessing import check_image_size, shrink_class_maps, shrink_images, shrink_instances

# Tiles read at once. 9 MB of float64: little enough that memory is used again, and not fetched anew from the system.
CHUNK = 2
THREADS = min(4, os.cpu_count() or 1)  # NumPy, OpenCV and hashlib leave Python's lock to each other
STALE_SECONDS = 3600  # an unfinished cache that nobody has written to for an hour belongs to a process that died


def prepare(dataset: Path, image_size: int = 128, labels: str = "nearest", progress: bool = True) -> Cache:
    """Prepare a data set, or take up the cache of an earlier preparation that still fits.

    The arrays are streamed: memory does not grow with the fold. The cache stands in the data set's own folder, or in
    the user's cache folder where that cannot be written. It appears when it is whole and not before. What can be used
    but is hardly meant is warned of, each time (`suspicions.warn_of`).

    Args:
        dataset: a folder that `find_folds` understands.
        image_size: height and width to shrink the tiles to, 32 to 256 pixels.
        labels: "nearest", as the report does, or "majority"; see `preprocessing.shrink_class_maps`.
        progress: show a bar on standard error.

    Raises:
        InputError: the data set does not fit, or there is no room for the cache.
    """
    check_image_size(image_size)
    dataset = as_path(dataset)
    folds = find_folds(dataset)
    kinds = _common_kinds(folds)
    key = {"format": 5, "image_size": image_size, "labels": labels, "source": _fingerprint(dataset, folds)}
    name = f"{image_size}-{labels}"
    for root in _cache_roots(dataset):
        # os.path: unlike Path.exists, False where the folder is another user's and may not be searched.
        if os.path.exists(root / name / DESCRIPTION) and key_of(root / name) == key:
            return _opened(root / name, dataset)
    root = next(filter(_writable, _cache_roots(dataset)), None)
    if root is None:
        raise InputError(f"{dataset}: neither it nor the user's cache folder can be written; make room for the cache")
    check_free_disk(root, sum(map(len, folds)) * image_size**2 * 6)
    _remove_stale(root)
    unfinished = root / f"unfinished-{secrets.token_hex(8)}"
    unfinished.mkdir()  # tempfile.mkdtemp would lock out everybody else whom the data set is shared with
    try:
        _write(unfinished, folds, kinds, key, progress)
        if (root / name).exists():
            shutil.rmtree(root / name)
        unfinished.rename(root / name)
    except OSError as error:
        raise InputError(f"{root}: the cache cannot be written ({error.strerror or error}); make room for it") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return _opened(root / name, dataset)


def _opened(folder: Path, dataset: Path) -> Cache:
    cache = open_cache(folder, dataset)
    warn_of(cache)
    return cache


def _write(folder: Path, folds: list[Fold], kinds: tuple[str, ...], key: dict, progress: bool) -> None:
    """Stream every tile of `folds`, shrunk, into `folder`; what describes the cache comes last."""
    total, size = sum(map(len, folds)), key["image_size"]
    tile_digests, nuclei, nuclei_shares, void = [], [], [], []
    digest = hashlib.sha256()
    groups, pictures = _name_sources(folds)
    positions = [list(map(int, position)) for fold in folds for position in _or_unknown(fold.positions, fold, (-1, -1))]
    # Tiles whose place is not known are never put together again, so their numbers need not agree.
    numbers = Numbers([name if min(place) >= 0 else "" for name, place in zip(pictures, positions, strict=True)])
    with (
        growing(folder / "images.npy", (total, size, size, 3), np.dtype(np.uint8)) as images_file,
        growing(folder / "class_maps.npy", (total, size, size), np.dtype(np.uint8)) as labels_file,
        growing(folder / "instances.npy", (total, size, size), np.dtype(np.uint16)) as instances_file,
        tqdm(total=total, unit="tile", desc="preparing", disable=not progress) as bar,
    ):
        for fold in folds:
            # A few tiles tell before a long preparation whether images are scaled to 0-1, unless they are black.
            few = np.linspace(0, len(fold) - 1, 8).astype(int)
            _check_range(fold, max(fold.images.read(tile, tile + 1).max() for tile in few) or 2)
            brightest = 0
            for tiles, images, class_maps, instances in _read_ahead(fold, size, key["labels"]):
                images_file.write(images.tobytes())
                labels_file.write(class_maps.tobytes())
                for tile in instances:
                    instances_file.write(numbers.of_tile(tile).tobytes())
                for image, class_map in zip(tiles.images, tiles.class_maps, strict=True):
                    digest.update(image.tobytes() + class_map.tobytes())
                    tile_digests.append(hashlib.sha256(image.tobytes()).hexdigest()[:16])
                nuclei += tiles.nuclei.tolist()
                nuclei_shares += (class_maps > 0).mean((1, 2)).tolist()
                void += tiles.void.tolist()
                brightest = max(brightest, int(tiles.images.max()))
                bar.update(len(tiles.images))
            _check_range(fold, brightest)
            if all(void[-len(fold) :]):
                raise InputError(
                    f"{fold.masks.path}: expected nuclei, found all six mask channels zero in every tile; "
                    "the masks are those of another data set, or were never written"
                )
    write_json(
        folder / DESCRIPTION,
        {
            "key": key,
            "digest": digest.hexdigest(),
            "tissues": [str(tissue) for fold in folds for tissue in fold.tissues],
            "groups": groups if any(groups) else None,
            "positions": positions if any(fold.positions is not None for fold in folds) else None,
            "pictures": pictures if any(pictures) else None,
            "extents": [extent.tolist() for fold in folds for extent in fold.extents],
            "annotated": [known.tolist() for fold in folds for known in fold.annotated],
            "kinds": list(kinds),
            "nuclei": nuclei,
            "nuclei_shares": nuclei_shares,
            "void": void,
            "fold_numbers": [number for number, fold in enumerate(folds) for _ in range(len(fold))],
            "official": official_numbers(folds),
            "tile_digests": tile_digests,
        },
    )


def _name_sources(folds: list[Fold]) -> tuple[list[str], list[str]]:
    """Name each tile's group and picture, "" where none is told: what one fold leaves out takes nothing from others.

    A picture is its own group where none is told, and bears its group's name where several groups have one of its name.
    """
    groups = [str(group).strip() for fold in folds for group in _or_unknown(fold.groups, fold, "")]
    pictures = [str(picture).strip() for fold in folds for picture in _or_unknown(fold.pictures, fold, "")]
    groups = [group or picture for group, picture in zip(groups, pictures, strict=True)]
    owners = Counter(picture for _, picture in set(zip(groups, pictures, strict=True)))
    named = zip(groups, pictures, strict=True)
    return groups, [f"{group}/{picture}" if picture and owners[picture] > 1 else picture for group, picture in named]


def _or_unknown(values: np.ndarray | None, fold: Fold, unknown: object) -> Sequence:
    return [unknown] * len(fold) if values is None else values


def _read_ahead(fold: Fold, size: int, labels: str) -> Iterator[tuple[Tiles, np.ndarray, np.ndarray, np.ndarray]]:
    """Give a fold chunk by chunk, in order, with what is shrunk of it: images, class maps, instances.

    Threads read a few chunks ahead.
    """

    def read(start: int) -> tuple[Tiles, np.ndarray, np.ndarray, np.ndarray]:
        tiles = fold.read(start, min(start + CHUNK, len(fold)))
        class_maps = shrink_class_maps(tiles.class_maps, size, labels)
        instances = shrink_instances(tiles.instances, class_maps, labels)
        return tiles, shrink_images(tiles.images, size), class_maps, instances

    starts, ahead = iter(range(0, len(fold), CHUNK)), deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for start in islice(starts, THREADS + 1):
                ahead.append(pool.submit(read, start))
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(read, start) for start in islice(starts, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def _common_kinds(folds: list[Fold]) -> tuple[str, ...]:
    """Give what the class channels mean in all folds; one in which no kinds are known may call them what it will."""
    first, *others = [fold for fold in folds if fold.annotated[:, 0].any()] or folds[:1]
    if other := [fold for fold in others if fold.kinds != first.kinds]:
        raise InputError(
            f"{other[0].images.path}: expected the kinds of nuclei of {first.images.path}, {', '.join(first.kinds)}, "
            f"found {', '.join(other[0].kinds)}; keep them in two data sets, or write kinds.npy beside the images anew"
        )
    return first.kinds


def _check_range(fold: Fold, brightest: float) -> None:
    if brightest <= 1:
        raise InputError(
            f"{fold.images.path}: expected values from 0 to 255, found none above 1; multiply the images by 255"
        )


def _fingerprint(dataset: Path, folds: list[Fold]) -> list:
    """Describe the source files so that a change of any of them is noticed: name, size, time of change."""
    # os.path: where a folder of images alone is given, the masks stand outside of it.
    return [
        [Path(os.path.relpath(path, dataset)).as_posix(), path.stat().st_size, path.stat().st_mtime_ns]
        for fold in folds
        for path in fold.files
    ]


def _cache_roots(dataset: Path) -> list[Path]:
    """Give the folders a cache may stand in, the best first."""
    known_by = hashlib.sha256(str(dataset.resolve()).encode()).hexdigest()[:16]
    return [dataset / ".nuclei_cache", user_cache_path("nuclei-helpers") / known_by]


def _writable(root: Path) -> bool:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return True
    except OSError:
        return False


def _remove_stale(root: Path) -> None:
    for unfinished in root.glob("unfinished-*"):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished it
            latest = max(path.stat().st_mtime for path in [unfinished, *unfinished.iterdir()])
            if time.time() - latest > STALE_SECONDS:
                shutil.rmtree(unfinished, ignore_errors=True)
