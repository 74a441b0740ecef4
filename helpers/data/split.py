"""Which tiles train the network and which judge it."""

import dataclasses
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import train_test_split

from helpers.config import OFFICIAL_SPLITS
from helpers.data.cache import Cache
from helpers.errors import InputError

VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """A division of a data set."""

    method: str  # "groups", "tissue" or "official 1" to "official 3", and whether copies were left out
    note: str  # what the division can and cannot promise
    train: np.ndarray  # (n,) int64, tile numbers, ascending
    validation: np.ndarray  # (m,) int64, the others


def split_tiles(cache: Cache, seed: int = 0, official: int | None = None, drop_copies: bool = False) -> Split:
    """Divide a data set by source image where any is known, else 80/20 by tissue as the report does.

    Args:
        cache: the prepared data set.
        seed: decides which tiles are drawn.
        official: 1-3 for one of PanNuke's official splits; three folds without groups take split 1 when it is None.
        drop_copies: of tiles with the same image leave out all but one (`Cache.first_copies`), before any is drawn.

    Raises:
        InputError: too little data to divide, an official split of something other than PanNuke's three folds, or
            tiles whose image would stand on both sides.
    """
    first = cache.first_copies()
    tiles = np.flatnonzero(first == np.arange(len(cache))) if drop_copies else np.arange(len(cache))
    if drop_copies and cache.groups is not None:
        cache = dataclasses.replace(cache, groups=_join_by_copies(cache.groups, first))
    split = _divide(cache, tiles, seed, official)
    if dropped := len(cache) - len(tiles):
        note = f"{split.note} {dropped} copies of other tiles are left out."
        return Split(f"{split.method}, copies left out", note, split.train, split.validation)
    copies = split.validation[np.isin(first[split.validation], first[split.train])]
    if len(copies):
        twins = [split.train[first[split.train] == first[tile]][0] for tile in copies]
        raise InputError(
            f"{cache.name}: expected validation tiles that the network is not trained on, found {len(copies)} of "
            f"{len(split.validation)} among the training tiles again, which would flatter it: "
            f"{cache.describe_copies(copies, np.array(twins))}; move one copy away, or leave it out with "
            "--drop-copies (in Python: drop_copies=True)"
        )
    return split


def _join_by_copies(groups: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Give groups that share an image one name: they are one source under several. Both `(N,)`, as is what is given."""
    names, numbers = np.unique(groups, return_inverse=True)
    links = coo_array((np.ones(len(groups)), (numbers, numbers[first])), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    _, one = np.unique(component, return_index=True)
    return names[one][component][numbers]


def _divide(cache: Cache, tiles: np.ndarray, seed: int, official: int | None) -> Split:
    """Divide some tiles of a data set, `(n,)` ascending."""
    if official is not None or (cache.official and cache.groups is None):
        return _split_official(cache, tiles, 1 if official is None else official)
    if cache.groups is not None:
        groups, known = cache.groups[tiles], int(cache.grouped[tiles].sum())
        validation = np.isin(groups, draw_groups(groups, cache.tissues[tiles], seed))
        note = "No source image stands on both sides."
        if known < len(tiles):
            note = (
                f"The source image is known of {known} of {len(tiles)} tiles, and none of those stands on both sides; "
                "of the others neighbours may, which flatters the validation score."
            )
        return Split("groups", note, tiles[~validation], tiles[validation])
    if len(tiles) < 5:
        raise InputError(f"{cache.name}: expected at least 5 tiles to divide 80/20, found {len(tiles)}")
    note = (
        "The data set does not say which tiles come from one slide: neighbours may stand on both sides, "
        "which flatters the validation score."
    )
    return Split("tissue", note, *(tiles[part] for part in _split_by_tissue(cache.tissues[tiles], seed)))


def draw_groups(groups: np.ndarray, tissues: np.ndarray, seed: int) -> list[str]:
    """Draw 20 % of the groups, spread over the tissues as evenly as whole groups allow.

    The groups are put in order of tissue, at random within one, and every fifth is taken: a systematic sample
    (Cochran 1977, Sampling Techniques, chapter 8). The seed decides the order and where the counting starts.

    Args:
        groups: `(N,)` str, group of each tile.
        tissues: `(N,)` str, tissue of each tile; a group belongs to the one that most of its tiles have.
        seed: any.

    Returns:
        the names of the drawn groups.

    Raises:
        InputError: fewer than two groups.
    """
    names = np.unique(groups)
    if len(names) < 2:
        raise InputError(f"groups.npy: expected at least 2 source images to divide, found {len(names)}")
    random = np.random.default_rng(seed)
    tissue_of = {name: Counter(tissues[groups == name].tolist()).most_common(1)[0][0] for name in names}
    ordered = sorted(random.permutation(names).tolist(), key=tissue_of.get)
    drawn = max(1, round(VALIDATION_SHARE * len(names)))
    places = (np.arange(drawn) + random.random()) * len(names) / drawn
    return [ordered[place] for place in places.astype(int)]


def _split_by_tissue(tissues: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    counts = Counter(tissues.tolist())
    # A tissue of one tile cannot stand on both sides; such tiles are drawn together, a lone one with the commonest.
    singles = "" if list(counts.values()).count(1) > 1 else counts.most_common(1)[0][0]
    strata = np.array([tissue if counts[tissue] > 1 else singles for tissue in tissues.tolist()])
    sizes = Counter(strata.tolist()).values()
    fit = min(sizes) > 1 and len(sizes) <= VALIDATION_SHARE * len(strata)
    parts = train_test_split(
        np.arange(len(tissues)), test_size=VALIDATION_SHARE, random_state=seed, stratify=strata if fit else None
    )
    return tuple(map(np.sort, parts))


def _split_official(cache: Cache, tiles: np.ndarray, number: int) -> Split:
    if not cache.official:
        raise InputError(
            f"{cache.name}: official split {number} needs PanNuke's three folds under names like 'Fold 1', found "
            f"{cache.fold_numbers.max() + 1} fold(s) and no such names; put all three in one folder"
        )
    if number not in OFFICIAL_SPLITS:
        raise InputError(f"official split {number}: expected 1, 2 or 3")
    of_tile = np.array(cache.official)[cache.fold_numbers[tiles]]
    train, validation, test = OFFICIAL_SPLITS[number]
    note = f"PanNuke's official split {number}: train on fold {train}, validate on {validation}, test on {test}."
    return Split(f"official {number}", note, tiles[of_tile == train], tiles[of_tile == validation])
