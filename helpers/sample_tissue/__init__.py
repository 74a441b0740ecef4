"""What is there without data? Tissue that the package paints itself, with its truth."""
