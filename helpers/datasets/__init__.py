"""How does a published set become a fold? PanNuke, MoNuSeg, CoNSeP and NuInsSeg, fetched and converted."""
