@NFR-OBSERVABILITY-001
Feature: What becomes of backups can be seen, and somebody is told when they go wrong

  The drill holds all faults at once: most of its time is waiting for Velero, which looks at its backups once a minute.

  Rule: Metrics

    @exclusive
    Scenario: Every operation is in Prometheus as it was
      Given a Prometheus that scrapes Velero and every node-agent
      And a drill with a fault for every alert
      Then every metric that the design needs is in Prometheus
      And the metrics of every backup, restore and deletion are what the objects say

    @exclusive @negative
    Scenario: A metric that is not there is named
      Given a drill with a fault for every alert
      # without the fault: the suite names what the design needs as missing
      Then the suite names what other versions of Velero export as missing

    @exclusive @negative
    Scenario: A metric that is not true is found out
      Given a drill with a fault for every alert
      # without the fault: velero_backup_last_status lies about the schedule that nothing happened to
      Then velero_backup_last_status lies about a schedule whose last backup failed

  Rule: Dashboard

    @exclusive
    Scenario: Every panel of the dashboard shows something
      Given a drill with a fault for every alert
      And the dashboard
      Then every panel has data

    @exclusive @negative
    Scenario Outline: A panel that asks for <what> is named
      Given a drill with a fault for every alert
      # without the fault: the dashboard
      And the dashboard, with one more panel that asks for <what>
      Then the suite names that panel

      Examples:
        | what                                   |
        | a metric of Velero 1.9                 |
        | a metric that is not there, or nothing |
        | a schedule that is not there           |
        | no PromQL                              |

  Rule: Alerts

    Scenario: The alerts pass their unit tests
      Given the alerts
      Then they pass their unit tests

    @negative
    Scenario Outline: Alerts that <mistake> fail them
      # without the fault: the alerts
      Given the alerts, changed so that they <mistake>
      Then they fail their unit tests

      Examples:
        | mistake                                     |
        | trust velero_backup_last_status             |
        | wait for a first success                    |
        | take no reading for a good one              |

    @exclusive
    Scenario Outline: <alert> fires when <fault>
      Given a drill with a fault for every alert
      Then "<alert>" fired when <fault>, and was resolved

      Examples:
        | alert                       | fault                                               |
        | VeleroBackupFailed          | S3 refuses the metadata of a backup                 |
        | VeleroBackupFailed          | a backup is to go to no location                    |
        | VeleroBackupPartiallyFailed | a hook of a backup fails                            |
        | VeleroBackupMissed          | the last success is of the day before yesterday     |
        | VeleroBackupMissed          | a schedule never had a success                      |
        | VeleroLocationUnavailable   | S3 refuses connections                              |
        | VeleroLocationStale         | the location is not validated                       |
        | VeleroS3AlmostFull          | the bucket's quota is almost used up                |

    @exclusive
    Scenario: No alert fires without its fault
      Given a drill with a fault for every alert
      Then no alert fired at a time when its fault was not there

    @exclusive @negative
    Scenario: Where nothing went wrong no alert is seen
      Given a drill with a fault for every alert
      # without the fault: the suite sees no alert of the schedules that faults happened to
      Then the suite sees no alert of the schedule that nothing happened to
      And a firing alert whose fault it is not told of is called unfounded
