"""The eight symmetries of the square: how tiles are turned, and how what is predicted of them is turned back."""

import numpy as np

# Quarter turns, and whether a flip follows; the first changes nothing.
SYMMETRIES = tuple((quarter_turns, flip) for flip in (False, True) for quarter_turns in range(4))


def turn(tiles: np.ndarray, symmetry: tuple[int, bool]) -> np.ndarray:
    """Turn and flip `(N, H, W, 3)` tiles by one of `SYMMETRIES`, as a view; a quarter turn swaps height and width."""
    quarter_turns, flip = symmetry
    turned = np.rot90(tiles, quarter_turns, (1, 2))
    return turned[:, :, ::-1] if flip else turned


def turn_back(maps: np.ndarray, symmetry: tuple[int, bool]) -> np.ndarray:
    """Undo `turn` on `(N, C, H, W)` maps that were predicted of turned tiles, as a view."""
    quarter_turns, flip = symmetry
    return np.rot90(maps[..., ::-1] if flip else maps, -quarter_turns, (2, 3))
