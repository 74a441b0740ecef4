"""How does a file become pixels with a scale, and how do nuclei become files? Pictures, slides, tissue, outlines."""
