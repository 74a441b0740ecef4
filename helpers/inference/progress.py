"""How far a batch of pictures has come: one bar over all of them."""

from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

WRITING = 0.1  # of a picture's time is set aside for the files that are written after its last block


class Progress:
    """One bar for all pictures. Each counts by the bytes of its file, and what needs no work by nothing.

    So the remaining time tells of the work that is left, and neither of how many pictures there are nor of how fast
    those went that were finished before.

    Args:
        paths: of the pictures.
        shown: whether there is a bar at all; nothing of it is left on the screen.
    """

    def __init__(self, paths: Iterable[Path], shown: bool) -> None:
        self._left = {path: path.stat().st_size if path.exists() else 0 for path in paths}
        self._count, self._step, self._path = len(self._left), 0.0, None
        self._bar = tqdm(
            total=sum(self._left.values()), disable=not shown, leave=False, smoothing=0.1,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        )  # fmt: skip

    def begin(self, number: int, path: Path) -> None:
        """Name the picture that is worked on, by its number from 1 on."""
        self._path, self._step = path, 0.0
        self._bar.set_description_str(path.name if self._count == 1 else f"{number} of {self._count}, {path.name}")

    def expect(self, blocks: int, missing: int) -> None:
        """Tell how many blocks the picture has, and how many of them were not done before."""
        if blocks:
            self._drop(self._left[self._path] * (blocks - missing) / blocks)
        self._step = (1 - WRITING) * self._left[self._path] / max(1, missing)

    def step(self) -> None:
        """Count a block."""
        self._left[self._path] -= self._step
        self._bar.update(self._step)

    def end(self, worked: bool) -> None:
        """Count what is left of the picture; where it was no work, leave it out of the whole."""
        if worked:
            self._bar.update(self._left[self._path])
        else:
            self._drop(self._left[self._path])

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _drop(self, size: float) -> None:
        self._left[self._path] -= size
        self._bar.total -= size
        self._bar.refresh()
