"""How does a file become pixels with a scale? Pictures and slides, their tissue, and what is odd about them."""
