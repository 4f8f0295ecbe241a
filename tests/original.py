"""The design's own words, where they cannot be deployed (criteria/errata.yaml); its S3 host is made up."""

from __future__ import annotations

import json
from typing import Any

import yaml

HELM_RELEASE: dict[str, Any] = yaml.safe_load("""
apiVersion: helm.toolkit.fluxcd.io/v2beta1
kind: HelmRelease
metadata:
    name: velero
    namespace: velero
spec:
    chart:
        spec:
            chart: velero
            version: 5.x.x
            sourceRef:
                kind: OCIRepository
                name: vmware-tanzu-velero
                namespace: flux-system
    interval: 30m
    timeout: 10m
    values:
        configuration:
            backupStorageLocation:
                - name: default
                  provider: aws
                  bucket: velero-backups
                  config:
                      region: us-east-1
                      s3Url: https://s3.example.org
                      s3ForcePathStyle: true
        credentials:
            existingSecret: velero-s3-secret
        initContainers:
            - name: velero-plugin-for-aws
              image: velero/velero-plugin-for-aws:v1.9.0
        deployRestic: true
        schedules:
            daily-backup:
                schedule: "0 2 * * *"
                template:
                    includedNamespaces:
                        - monitoring
                        - database
                        - network
                    ttl: 720h
""")

# What the chart's defaults make of a design that says nothing about volume snapshots.
SNAPSHOT_LOCATION: dict[str, Any] = yaml.safe_load("""
apiVersion: velero.io/v1
kind: VolumeSnapshotLocation
metadata:
    name: default
    namespace: velero
spec:
    provider:
""")

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "VeleroFullAccess",
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket"],
                "Resource": ["arn:aws:s3:::velero-backups", "arn:aws:s3:::velero-backups/*"],
            }
        ],
    }
)
