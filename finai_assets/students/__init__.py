"""The LightGBM students: route, column selection, distillation, calibration, fidelity; what comes out is deployed."""
