"""Decision analysis: expected regret of plans, and the plan that minimises it."""
