"""What did it look at? Attention maps, the tests they must stand, and one image examined."""
