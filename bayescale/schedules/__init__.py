"""Loss curves under a schedule of the learning rate: schedules, laws, fits, runs in progress."""
