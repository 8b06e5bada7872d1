"""Expected regret of plans, and the plan of least expected regret."""
