@NFR-OBSERVABILITY-001
Feature: Metrics show what happens to backups, and alerts fire when they go wrong

  The faults of all alerts are injected at once and shared by the scenarios: most of the time is waiting, because Velero
  checks its backups once a minute.

  Rule: Metrics

    @exclusive
    Scenario: Prometheus shows every operation as it was
      When the faults of all alerts are injected
      Then Prometheus scrapes Velero and every node-agent
      And every metric that the design needs is in Prometheus
      And the metrics of every backup, restore and deletion match their objects

    @exclusive @negative
    Scenario: The suite reports missing metrics
      When the faults of all alerts are injected
      # without the fault: the suite reports the metrics of the design as missing
      Then the suite reports the metrics of other Velero versions as missing

    @exclusive @negative
    Scenario: The suite reports a metric with a wrong value
      When the faults of all alerts are injected
      # without the fault: the suite reports velero_backup_last_status as wrong for the schedule without a fault
      Then the suite reports velero_backup_last_status as wrong for a schedule whose last backup failed

  Rule: Dashboard

    @exclusive
    Scenario: Every panel of the dashboard has data
      Given the dashboard
      When the faults of all alerts are injected
      Then every panel has data

    @exclusive @negative
    Scenario Outline: The suite reports a panel that queries <query>
      # without the fault: the dashboard
      Given the dashboard with an additional panel that queries <query>
      When the faults of all alerts are injected
      Then the suite reports the additional panel

      Examples:
        | query                                |
        | a metric of Velero 1.9               |
        | a metric that is missing, or nothing |
        | a schedule that does not exist       |
        | invalid PromQL                       |

  Rule: Alerts

    Scenario: The alerts pass their unit tests
      Given the alerts
      Then they pass their unit tests

    @negative
    Scenario Outline: The unit tests detect alerts that <mistake>
      # without the fault: the alerts
      Given the alerts, changed so that they <mistake>
      Then the suite reports that they fail their unit tests

      Examples:
        | mistake                         |
        | trust velero_backup_last_status |
        | wait for a first success        |
        | accept a missing validation     |

    @exclusive
    Scenario Outline: <alert> fires when <fault>
      When the faults of all alerts are injected
      Then "<alert>" fired when <fault>, and was resolved

      Examples:
        | alert                       | fault                                          |
        | VeleroBackupFailed          | S3 denies the metadata of a backup             |
        | VeleroBackupFailed          | the location of a backup does not exist        |
        | VeleroBackupPartiallyFailed | a hook of a backup fails                       |
        | VeleroBackupMissed          | the last success of a schedule is too long ago |
        | VeleroBackupMissed          | a schedule never succeeded                     |
        | VeleroLocationUnavailable   | S3 refuses connections                         |
        | VeleroLocationStale         | the location is not validated                  |
        | VeleroS3AlmostFull          | the quota of the bucket is almost used up      |

    @exclusive
    Scenario: No alert fires without its fault
      When the faults of all alerts are injected
      Then no alert fired while its fault was absent

    @exclusive @negative
    Scenario: The suite reports an alert that did not fire, and one that fired without a fault
      When the faults of all alerts are injected
      # without the fault: the suite reports that no alert fired for the schedules with a fault
      Then the suite reports that no alert fired for the schedule without a fault
      And the suite reports an alert whose fault it does not know as a false positive
