"""Forecast records: predictions of planned runs, sealed before the runs and scored after them."""
