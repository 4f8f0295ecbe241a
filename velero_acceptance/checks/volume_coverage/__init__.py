"""`acceptance coverage`: the newest backup that holds each volume of the cluster, or why there is none."""
