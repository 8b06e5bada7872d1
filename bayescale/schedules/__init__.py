"""Loss curves under a learning rate schedule: schedules, laws, fits, runs in progress."""
