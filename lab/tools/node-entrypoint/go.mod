module velero-acceptance.local/lab/tools/node-entrypoint

go 1.26.0

require golang.org/x/sys v0.46.0
