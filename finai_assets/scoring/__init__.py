"""One implementation of every metric, interval, calibration and LightGBM training."""
