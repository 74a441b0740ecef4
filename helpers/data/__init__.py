"""What is a tile? Folds on disk, the cache made of them, the split, augmentation and stitching."""
