"""How do I use it? From pixels of any size to a mask, with trained weights."""
