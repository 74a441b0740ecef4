"""From the cache to the batches the network sees."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from helpers.config import TILE_SIZE, Recipe
from helpers.data.augmentation import build_augmentation
from helpers.data.cache import Cache, MappedFile, is_mapped
from helpers.data.split import Split
from helpers.data.stitching import source_images
from helpers.data.targets import interior_map
from helpers.normalization import NORMALIZE
from helpers.training.control import LAPS, control_window, exchange_masks
from helpers.training.distributed import rank, world_size


def derive_seed(*numbers: int) -> int:
    """Mix numbers into one seed, so that epoch and tile decide the randomness and not what ran before."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class TileDataset(Dataset):
    """Normalised images and what a network is to learn of them. Pickled, it holds where its tiles stand, not the tiles.

    Args:
        cache: the prepared data set.
        indices: `(n,)`, the tiles to serve.
        transform: joint transform of image and mask, or None. For validation and test: None.
        seed: with the epoch and the tile's number, decides what `transform` does and where crops are taken.
        masks_of: `(N,)`, of a control: for every tile of the cache the one whose mask it gets. Of both there is then
            `control.control_window` alone. None for its own, and the whole tile.
        outputs: of `config.OUTPUTS`, what to learn.
        crops: take a window at random of the picture that a tile is of, where its tiles fill it, in place of the tile;
            not where tiles get other masks than their own.

    Shape:
        image `(3, h, w)` float32; for nuclei alone the mask `(1, h, w)` float32 with 1 for nuclei of any class, else
        a dictionary, see `losses.NucleiLoss`.
    """

    def __init__(
        self, cache: Cache, indices: np.ndarray, transform: v2.Transform | None = None, seed: int = 0,
        masks_of: np.ndarray | None = None, outputs: Sequence[str] = ("nuclei",), crops: bool = False,
    ) -> None:  # fmt: skip
        # Not the cache itself: what else it says of every tile would travel to each worker too.
        self.images, self.class_maps, self.instances = cache.images, cache.class_maps, cache.instances
        self.indices, self.transform, self.seed, self.masks_of = indices, transform, seed, masks_of
        self.annotated, self.outputs = cache.annotated, outputs
        taught = cache.known_kinds if len(cache.known_kinds) > 1 else ()  # one alone cannot be told from another
        known = [0] + [taught.index(kind) + 1 if kind in taught else 0 for kind in cache.kinds]
        self.kind_of = np.array(known, np.int64) - 1  # of 0 for background and each class; -1 where it is not learnt
        self.pictures = find_pictures(cache, indices) if crops and masks_of is None else {}
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that live on see it change

    def __getstate__(self) -> dict:
        # A worker that is spawned, as on macOS and Windows, gets a pickle: of a file that is mapped, where it stands.
        return {
            name: MappedFile(str(value.filename), value.dtype, value.shape, value.offset) if is_mapped(value) else value
            for name, value in vars(self).items()
        }

    def __setstate__(self, state: dict) -> None:
        for name, value in state.items():
            setattr(self, name, value.open() if isinstance(value, MappedFile) else value)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor | dict[str, Tensor]]:
        index = int(self.indices[item])
        seed = derive_seed(self.seed, int(self.epoch), index)
        image, class_map, instances = self._cut(index, seed)
        labels = np.stack([class_map, instances]).astype(np.float32)
        image, labels = tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)), tv_tensors.Mask(labels)
        if self.transform is not None:
            with torch.random.fork_rng(devices=[]):
                # `torch.manual_seed` would set the GPU's generator too, and dropout would follow the last tile loaded.
                torch.default_generator.manual_seed(seed)
                image, labels = self.transform(image, labels)
        image, (class_map, instances) = NORMALIZE(image.as_subclass(Tensor)), labels.as_subclass(Tensor).long()
        nuclei = (class_map > 0)[None].float()
        if len(self.outputs) == 1:
            return image, nuclei
        known = self.annotated[index if self.masks_of is None else self.masks_of[index]]
        targets = {"nuclei": nuclei, "known": torch.tensor(known)}
        if "kinds" in self.outputs:
            kind_of = torch.from_numpy(self.kind_of if known[0] else np.full_like(self.kind_of, -1))
            targets["kinds"] = kind_of[class_map]
        if "interior" in self.outputs:
            targets["interior"] = torch.from_numpy(interior_map(instances.numpy()))
        return image, targets

    def _cut(self, index: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give image, class map and instances of a tile, or of a window of its picture that the seed chooses."""
        masks_of = index if self.masks_of is None else self.masks_of[index]
        if index not in self.pictures:
            part = np.s_[:, :] if self.masks_of is None else control_window(self.images.shape[1])
            return np.array(self.images[index][part]), self.class_maps[masks_of][part], self.instances[masks_of][part]
        tiles, places, room = self.pictures[index]
        size = self.images.shape[1]
        places = places - np.random.default_rng(seed).integers(0, room + 1)
        here = (np.abs(places) < size).all(1)
        return tuple(
            _window(values, tiles[here], places[here], size)
            for values in (self.images, self.class_maps, self.instances)
        )


def find_pictures(cache: Cache, indices: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Give to each tile of a picture that its tiles fill, more than one, these tiles and their places in it.

    The same must be known of the nuclei of all its tiles, and their places be whole pixels of the cache.

    Returns:
        tile number to `(n,)` tile numbers, `(n, 2)` rows and columns, and `(2,)` the last row and column at which a
        window can begin, in pixels of the cache; tiles alone have none.
    """
    found = {}
    scale = cache.image_size / TILE_SIZE
    for picture in source_images(indices, cache.tissues, cache.pictures, cache.positions, cache.extents):
        places, room = picture.positions * scale, np.array(picture.size) * scale - cache.image_size
        alike = (cache.annotated[picture.indices] == cache.annotated[picture.indices[0]]).all()
        if len(picture.indices) > 1 and alike and (places % 1 == 0).all() and (room >= 0).all():
            whole = picture.indices.astype(np.int32), places.astype(np.int32), room.astype(np.int32)
            found |= dict.fromkeys(picture.indices.tolist(), whole)
    return found


def _window(values: np.ndarray, tiles: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    """Put together the window from (0, 0) to (size, size) of tiles at `places` that cover it and reach into it."""
    out = np.zeros(values.shape[1:], values.dtype)
    for tile, (row, column) in zip(tiles.tolist(), places.tolist(), strict=True):
        to = np.s_[max(row, 0) : row + size, max(column, 0) : column + size]
        of_tile = np.s_[max(-row, 0) : size - max(row, 0), max(-column, 0) : size - max(column, 0)]
        out[to] = values[tile][of_tile]
    return out


def make_loaders(
    cache: Cache, split: Split, recipe: Recipe, workers: int = 0, batch_size: int | None = None
) -> tuple[DataLoader, DataLoader]:
    """Make the loaders of training and validation tiles; `start_epoch` sets the order and the augmentation.

    In a group of processes each loader gives the tiles of its process: of an epoch's training tiles a share of equal
    size, for which a few may be drawn twice; of the validation tiles those that `gather_in_order` expects of it.

    The recipe gives augmentation, seed and, unless another is given, batch size. Of the `workers`, processes that load
    and augment tiles, there are as many again for validation; they change nothing but the speed.
    """
    masks_of = exchange_masks(split.train, len(cache), recipe.seed) if recipe.shuffled_masks else None
    indices = np.tile(split.train, LAPS) if recipe.shuffled_masks else split.train
    augmentation = build_augmentation(recipe.augmentation)
    train = TileDataset(cache, indices, augmentation, recipe.seed, masks_of, recipe.outputs, recipe.random_crops)
    own = split.validation[rank() :: world_size()]
    validation = TileDataset(cache, own, masks_of=masks_of, outputs=recipe.outputs)
    # Workers that live on, and memory that a GPU can fetch from: with short epochs their start would take as long.
    speed = {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": torch.cuda.is_available()}
    sampler = RandomSampler(train, generator=torch.Generator())
    if world_size() > 1:
        sampler = DistributedSampler(train, world_size(), rank(), seed=derive_seed(recipe.seed))
    batch_size = batch_size or recipe.batch_size
    return DataLoader(train, batch_size, sampler=sampler, **speed), DataLoader(validation, batch_size, **speed)


def start_epoch(train_loader: DataLoader, epoch: int) -> None:
    """Set everything random in this epoch from the seed and the epoch's number, so that a run can be resumed."""
    dataset, sampler = train_loader.dataset, train_loader.sampler
    dataset.epoch.fill_(epoch)
    if isinstance(sampler, DistributedSampler):
        sampler.set_epoch(epoch)
    else:
        sampler.generator.manual_seed(derive_seed(dataset.seed, epoch))
    torch.manual_seed(derive_seed(dataset.seed, epoch, 1 + rank()))  # dropout and stochastic depth


def nuclei_share(cache: Cache, indices: np.ndarray) -> float:
    """Give the share of nuclei pixels in some prepared tiles, 0 to 1."""
    return float(np.mean([(cache.class_maps[index] > 0).mean() for index in indices]))
