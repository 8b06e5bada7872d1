"""Forecasts of curves averaged over laws, and of tasks in two steps, through the loss."""
