@AC-004-03
Feature: A completed restore brings the data back

  Scenario: A deleted application is restored with all its data
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    When a file is written to "source" after its backup
    And "source" is deleted
    And the backup is restored
    Then the restore is Completed without errors
    And the application in "source" is ready
    And every file of the corpus in "source" is equal, bytes and metadata
    And the file that was written after the backup is not in "source"

  Scenario: A run of the deployed schedule brings back an application with all its objects
    Given a namespace "source" whose volume holds the standard corpus
    When a copy of the deployed schedule backs up "source"
    And the run of "source" is restored into "copy"
    Then the restore is Completed without errors
    And every object of "source" is in "copy", with the same storage class and images
    And the application in "copy" is ready
    And every file of the corpus in "copy" is equal, bytes and metadata

  @exclusive @soak @upgrade
  Scenario: A restic backup can be restored after an upgrade to a Velero that uses kopia
    Given a Velero that backs up with restic, and a release that backs up with kopia
    And a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    When Velero is upgraded through Git to the release that backs up with kopia
    And "source" is deleted
    And the backup is restored
    Then the restore is Completed without errors
    And the application in "source" is ready
    And every file of the corpus in "source" is equal, bytes and metadata
    When "source" is backed up again
    Then the next backup is Completed and was made with kopia

  @negative
  Scenario: The suite reports a restore over existing data, which changes nothing
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    # without the fault: "source" is deleted
    When a file is written to "source" after its backup
    And the backup is restored
    Then Velero reports the restore as Completed and warns about existing objects
    And the suite reports the data in "source" as different

  @negative
  Scenario: The suite reports an object that a schedule leaves out
    Given a namespace "source" whose volume holds the standard corpus
    # without the fault: a copy of the deployed schedule backs up "source"
    When a copy of the deployed schedule that leaves out ConfigMaps backs up "source"
    And the run of "source" is restored into "copy"
    Then the suite reports the ConfigMap of "source" as missing from "copy"

  @negative
  Scenario: The suite reports an application that runs another image than its source
    Given a namespace "source" whose volume holds the standard corpus
    # without the fault: a namespace "altered" whose volume holds the standard corpus
    And a namespace "altered" whose application names another image
    Then the suite reports the image of "altered" as another than that of "source"
