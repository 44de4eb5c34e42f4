"""The PLE teacher: normalisation, routing, experts, gates, training, calibration, and the honest baselines beside it."""
