@AC-004-05
Feature: A restore can go into another namespace

  Scenario: The data arrives in the other namespace, and the source stays unchanged
    When the standard application is backed up and restored into another namespace
    Then every file of the corpus in the copy is equal, bytes and metadata
    And the copy has its own volume on its own path
    And the copy's PVC has the class, size, modes, labels and annotations of the source's
    And the copy's workload runs the images of the source's
    And nothing of the restore is in the source
    And the source still holds its corpus unchanged

  Scenario: The restored application does not depend on its source
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    When the backup is restored into "target"
    And "source" is deleted
    Then every file of the corpus in "target" is equal, bytes and metadata

  Scenario: Two namespaces are restored into two others at once
    Given namespaces "first" and "second" whose volumes hold the standard corpus
    When both are backed up together and restored into "third" and "fourth"
    Then every file of the corpus in "third" is equal, bytes and metadata
    And every file of the corpus in "fourth" is equal, bytes and metadata
    And the other objects of "first" are in "third", and those of "second" in "fourth"

  @negative
  Scenario: Restoring into a namespace that already has the PVC warns and leaves its data
    Given a backup of the standard application
    # without the fault: nothing
    And a namespace "target" that already has the PVC, with other data
    When the backup is restored into "target"
    Then Velero reports the restore as Completed and warns about existing objects
    And the suite reports the data in "target" as different
