"""The same system under test on a cluster that kind makes, with or without a Docker engine of the machine."""
