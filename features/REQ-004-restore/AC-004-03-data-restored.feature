@AC-004-03
Feature: A completed restore has given the data back

  Scenario: A deleted application is back with all its data
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    And a file is written to "source" after the backup
    And "source" is deleted
    When the backup of "source" is restored
    Then the restore is Completed without errors
    And the application in "source" is ready
    And every file of the corpus in "source" is equal, bytes and metadata
    And the file written after the backup is not in "source"

  @exclusive @soak @upgrade
  Scenario: What restic has saved comes back with the Velero that saves with kopia
    Given a Velero that backs up with restic, and one with kopia at hand
    And a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    And Velero is upgraded through Git, to the release that backs up with kopia
    And "source" is deleted
    When the backup of "source" is restored
    Then the restore is Completed without errors
    And the application in "source" is ready
    And every file of the corpus in "source" is equal, bytes and metadata
    And the next backup of "source" is Completed, and kopia's

  @negative
  Scenario: A restore over living data changes nothing, and is not called a success
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    # without the fault: "source" is deleted
    And a file is written to "source" after the backup
    When the backup of "source" is restored
    Then Velero calls the restore Completed and warns that things exist
    And the suite calls the data in "source" different
