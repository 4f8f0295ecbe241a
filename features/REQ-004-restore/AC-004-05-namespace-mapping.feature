@AC-004-05
Feature: A restore can go to another namespace

  Scenario: The data arrives in the target while the source lives on
    Given the standard application, backed up and restored as a copy
    Then every file of the corpus in the copy is equal, bytes and metadata
    And the copy has its own volume on its own path
    And nothing of the restore is in the source
    And the source still holds its corpus unchanged

  Scenario: The target stands on its own
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    When the backup of "source" is restored as "target"
    And "source" is deleted
    Then every file of the corpus in "target" is equal, bytes and metadata

  Scenario: Two namespaces go to two others at once
    Given namespaces "first" and "second" whose volumes hold the standard corpus
    When both are backed up together, and restored as "third" and "fourth"
    Then every file of the corpus in "third" is equal, bytes and metadata
    And every file of the corpus in "fourth" is equal, bytes and metadata
    And what else was in "first" is in "third", and of "second" in "fourth"

  @negative
  Scenario: A target that already has the claim is not silently half restored
    Given the standard application, backed up
    # without the fault: nothing
    And a namespace "target" whose claim of the same name holds other data
    When it is restored as the existing "target"
    Then Velero calls the restore Completed and warns that things exist
    And the suite calls the data in "target" different
