"""How good is it? Scores on whole images, classical baselines, calibration, uncertainty and failures."""
