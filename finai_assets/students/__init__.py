"""The LightGBM students: route, column selection, distillation, calibration, fidelity. The students are deployed."""
