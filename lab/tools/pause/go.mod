module velero-acceptance.local/lab/tools/pause

go 1.26.0
