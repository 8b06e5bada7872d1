"""Out-of-sample scores, leave-one-out, leave-scale-out, simulation-based calibration."""
