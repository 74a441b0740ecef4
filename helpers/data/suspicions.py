"""What a prepared data set holds that can be used but was hardly meant, and that nobody would see."""

import numpy as np

from helpers.config import BACKGROUND_CHANNEL
from helpers.data.cache import Cache
from helpers.errors import warn

# Of 2,025 tiles of NuInsSeg, MoNuSeg and CoNSeP nuclei take 16 to 23 % of a set's pixels, 57 % in the densest group of
# tiles and 67 % in the densest tile. The same masks with the background first show 89 to 100 %.
MOST_NUCLEI = 0.7


def warn_of(cache: Cache) -> None:
    """Warn of tiles that stand there twice, of group numbers that folds share, and of masks that are nearly all nuclei.

    Where copies would train and validate, `split.split_tiles` refuses them.
    """
    for message in (_copies(cache), _shared_numbers(cache), *_nuclei_everywhere(cache)):
        if message:
            warn(f"{cache.name}: {message}")


def _copies(cache: Cache) -> str:
    first = cache.first_copies()
    copies = np.flatnonzero(first != np.arange(len(cache)))
    if not len(copies):
        return ""
    return (
        f"expected every tile once, found {len(copies)} of {len(cache)} again: "
        f"{cache.describe_copies(copies, first[copies])}; move one copy away, or train with --drop-copies (in Python: "
        "drop_copies=True)"
    )


def _shared_numbers(cache: Cache) -> str:
    """Numbers may count within each fold: they are taken as one source all the same, for to part one would leak."""
    if cache.groups is None:
        return ""
    folds = [set(cache.groups[cache.grouped & (cache.fold_numbers == fold)]) for fold in range(len(cache.fold_files))]
    numbers = {group for group in set().union(*folds) if group.isdecimal()}
    shared = sorted((group for group in numbers if sum(group in fold for fold in folds) > 1), key=int)
    if not shared:
        return ""
    return (
        f"found {len(shared)} numbers that stand in groups.npy of more than one fold, such as {shared[0]}: each is "
        "taken as one source image; where it is not, name the groups by their images"
    )


def _nuclei_everywhere(cache: Cache) -> list[str]:
    shares = [cache.nuclei_shares[cache.fold_numbers == fold].mean() for fold in range(len(cache.fold_files))]
    return [
        f"the masks of {file}: expected nuclei on about a fifth of the pixels, found them on {share:.0%}; the "
        f"background seems to stand among the first {BACKGROUND_CHANNEL} channels, which are nuclei: move it from "
        "first to last with numpy.roll(masks, -1, axis=-1), or exchange 0 and 1 where masks are inverted"
        for file, share in zip(cache.fold_files, shares, strict=True)
        if share > MOST_NUCLEI
    ]
