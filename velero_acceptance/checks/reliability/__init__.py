"""The success rate of schedules: trials and rates, the accelerated schedule, the soak, the history of runs."""
