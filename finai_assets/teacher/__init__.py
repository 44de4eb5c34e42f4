"""The PLE teacher: normalisation, routing, experts, gates, training, and calibration."""
