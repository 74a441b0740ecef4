"""How do nuclei become files? Outlines for QuPath, a table, label images, overlays and maps."""
