"""From the cache to the batches the network sees."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from helpers.config import Recipe
from helpers.data.augmentation import build_augmentation
from helpers.data.cache import Cache, MappedFile, is_mapped
from helpers.data.split import Split
from helpers.normalization import NORMALIZE
from helpers.training.distributed import rank, world_size


def derive_seed(*numbers: int) -> int:
    """Mix numbers into one seed, so that epoch and tile decide the randomness and not what ran before."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class TileDataset(Dataset):
    """Pairs of a normalised image and its binary mask. Pickled, it holds where its tiles stand, and not the tiles.

    Args:
        cache: the prepared data set.
        indices: `(n,)`, the tiles to serve.
        transform: joint transform of image and mask, or None. For validation and test: None.
        seed: with the epoch and the tile's number, decides what `transform` does.
        masks_of: `(N,)`, for every tile of the cache the one whose mask it gets; None for its own.

    Shape:
        image `(3, h, w)` float32, mask `(1, h, w)` float32 with 1 for nuclei of any class.
    """

    def __init__(
        self, cache: Cache, indices: np.ndarray, transform: v2.Transform | None = None, seed: int = 0,
        masks_of: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        # Not the cache itself: what else it says of every tile would travel to each worker too.
        self.images, self.class_maps = cache.images, cache.class_maps
        self.indices, self.transform, self.seed, self.masks_of = indices, transform, seed, masks_of
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

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        index = int(self.indices[item])
        image = torch.from_numpy(np.array(self.images[index])).permute(2, 0, 1)
        class_map = self.class_maps[index if self.masks_of is None else self.masks_of[index]]
        mask = torch.from_numpy(class_map > 0)[None].float()
        if self.transform is not None:
            with torch.random.fork_rng(devices=[]):
                # `torch.manual_seed` would set the GPU's generator too, and dropout would follow the last tile loaded.
                torch.default_generator.manual_seed(derive_seed(self.seed, int(self.epoch), index))
                image, mask = self.transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
        return NORMALIZE(image.as_subclass(Tensor)), mask.as_subclass(Tensor)


def make_loaders(
    cache: Cache, split: Split, recipe: Recipe, workers: int = 0, batch_size: int | None = None
) -> tuple[DataLoader, DataLoader]:
    """Make the loaders of training and validation tiles; `start_epoch` sets the order and the augmentation.

    In a group of processes each loader gives the tiles of its process: of an epoch's training tiles a share of equal
    size, for which a few may be drawn twice; of the validation tiles those that `gather_in_order` expects of it.

    The recipe gives augmentation, seed and, unless another is given, batch size. Of the `workers`, processes that load
    and augment tiles, there are as many again for validation; they change nothing but the speed.
    """
    masks_of = np.random.default_rng(recipe.seed).permutation(len(cache)) if recipe.shuffled_masks else None
    augmentation = build_augmentation(recipe.augmentation, recipe.image_size)
    train = TileDataset(cache, split.train, augmentation, recipe.seed, masks_of)
    validation = TileDataset(cache, split.validation[rank() :: world_size()], masks_of=masks_of)
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
