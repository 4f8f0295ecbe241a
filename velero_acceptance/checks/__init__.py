"""The judgements behind the Then steps, from the results of drivers; each has a test in which it fails."""
