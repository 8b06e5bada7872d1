"""Classical estimators: isoFLOP parabolas and envelopes."""
