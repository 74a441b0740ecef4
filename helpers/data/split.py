"""Which tiles train the network and which judge it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from helpers.config import OFFICIAL_SPLITS
from helpers.data.cache import Cache
from helpers.errors import InputError

VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """A division of a data set."""

    method: str  # "groups", "tissue" or "official 1" to "official 3"
    note: str  # one sentence on what the division can and cannot promise
    train: np.ndarray  # (n,) int64, tile numbers, ascending
    validation: np.ndarray  # (m,) int64, the others


def split_tiles(cache: Cache, seed: int = 0, official: int | None = None) -> Split:
    """Divide a data set by source image where that is known, else 80/20 by tissue as the report does.

    Args:
        cache: the prepared data set.
        seed: decides which tiles are drawn.
        official: 1-3 for one of PanNuke's official splits; three folds without groups take split 1 when it is None.

    Raises:
        InputError: too little data to divide, or an official split of something other than PanNuke's three folds.
    """
    if official is not None or (cache.official and cache.groups is None):
        return _split_official(cache, 1 if official is None else official)
    if cache.groups is not None:
        validation = np.isin(cache.groups, draw_groups(cache.groups, cache.tissues, seed))
        note = "No source image stands on both sides."
        return Split("groups", note, np.flatnonzero(~validation), np.flatnonzero(validation))
    if len(cache) < 5:
        raise InputError(f"{cache.name}: expected at least 5 tiles to divide 80/20, found {len(cache)}")
    note = (
        "The data set does not say which tiles come from one slide: neighbours may stand on both sides, "
        "which flatters the validation score."
    )
    return Split("tissue", note, *_split_by_tissue(cache.tissues, seed))


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


def _split_official(cache: Cache, number: int) -> Split:
    if not cache.official:
        raise InputError(
            f"{cache.name}: official split {number} needs PanNuke's three folds under names like 'Fold 1', found "
            f"{cache.fold_numbers.max() + 1} fold(s) and no such names; put all three in one folder"
        )
    if number not in OFFICIAL_SPLITS:
        raise InputError(f"official split {number}: expected 1, 2 or 3")
    of_tile = np.array(cache.official)[cache.fold_numbers]
    train, validation, test = OFFICIAL_SPLITS[number]
    note = f"PanNuke's official split {number}: train on fold {train}, validate on {validation}, test on {test}."
    return Split(f"official {number}", note, np.flatnonzero(of_tile == train), np.flatnonzero(of_tile == validation))
