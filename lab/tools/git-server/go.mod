module velero-acceptance.local/lab/tools/git-server

go 1.26.0
