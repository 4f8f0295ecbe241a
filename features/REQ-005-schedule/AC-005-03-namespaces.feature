@AC-005-03
Feature: The daily backup holds the namespaces of the design, and no other

  What a backup was asked to hold and what it holds are two things: the second is read from the
  bucket.

  @disrupt
  Scenario: A run holds exactly the design's namespaces
    Given the standard application, backed up
    And a run of the deployed schedule
    Then it holds the design's namespaces, and no other

  @passive
  Scenario: The newest run held exactly the design's namespaces
    Given the newest run of the deployed schedule
    Then it holds the design's namespaces, and no other

  @negative
  Scenario: What is missing, and what is too much, is named
    Given an empty namespace "plain"
    # without the fault: Velero makes a run of the deployed schedule
    When "plain" and a namespace that does not exist are backed up
    Then the suite names what is missing, and "plain" as none of the design's
