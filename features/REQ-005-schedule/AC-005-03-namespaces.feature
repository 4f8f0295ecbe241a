@shares-schedule-run
@AC-005-03
Feature: The daily backup holds the namespaces of the design, and no other

  What a backup was asked to hold and what it holds are two things: the second is read from the
  bucket.

  @disrupt
  Scenario: A run holds exactly the design's namespaces
    Given the standard application, backed up
    And a run of the deployed schedule
    Then its list and its archive hold the design's namespaces, and no other
    And it has the data of their volumes, and of no other

  Scenario: How much a run is going to hold is known before
    Given the sizes of the volumes that the deployed schedule backs up
    And a run of the deployed schedule
    Then it holds as much as was expected
    And the report says what it added to S3

  @negative
  Scenario: An estimate that misses a volume is seen
    # without the fault: the sizes of the volumes that the deployed schedule backs up
    Given the sizes of all but one of the volumes that the deployed schedule backs up
    And a run of the deployed schedule
    Then it is seen to hold more than was expected

  @passive
  Scenario: The newest run held exactly the design's namespaces
    Given the newest run of the deployed schedule
    Then its list and its archive hold the design's namespaces, and no other

  @negative
  Scenario: What is missing, and what is too much, is named
    Given an empty namespace "plain"
    # without the fault: Velero makes a run of the deployed schedule
    When "plain" and a namespace that does not exist are backed up
    Then the suite names what is missing, and "plain" as none of the design's
    And it is seen to have no data of "plain"

  @negative
  Scenario: A namespace that is labelled as excluded is named
    Given an empty namespace "plain"
    # without the fault: an empty namespace "hidden"
    And a namespace "hidden" that is labelled as excluded from backups
    When "plain" and "hidden" are backed up
    Then the suite names "hidden" as missing, and says why
