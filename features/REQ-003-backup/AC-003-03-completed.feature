@AC-003-03
Feature: A completed backup holds every volume

  The phase Completed does not reveal that Velero skipped a volume. So the suite checks the volumes one by one.

  Scenario: A Completed backup is complete
    When the standard application is backed up
    Then the backup is Completed, without errors and with all items
    And every mounted PVC of the application is in the backup
    And the backup's metadata in S3 says Completed

  @passive
  Scenario: The newest existing backup is complete
    Given the newest backup that the suite did not create
    Then that backup is Completed in the cluster and in S3, without errors and with all items
    And the backup holds the data of every PVC in its namespaces

  @negative
  Scenario: The suite reports PVCs that Velero skips silently
    # without the fault: a namespace "source" with an ordinary PVC
    Given a namespace "source" with five PVCs: on a host path, of an init container only, excluded by annotation, of a pod excluded by label, and of a Deployment scaled to 0
    When "source" is backed up
    Then Velero reports the backup as Completed
    And the suite reports each of these PVCs as missing from the backup
