"""Forecasts of curves of one variable, averaged over laws."""
