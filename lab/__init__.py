"""A real three-node Kubernetes with S3, Git and Flux on one Linux machine, without Docker."""
