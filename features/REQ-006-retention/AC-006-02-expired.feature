@AC-006-02
Feature: Garbage collection finds expired backups and nothing else

  Scenario: Only the expired one of two backups is to be deleted
    Given an empty namespace "source"
    And two small backups of "source", "old" and "kept"
    When the small backup "old" expires
    Then the garbage collector reports "old" as expired and requests its deletion
    And it does neither for "kept"

  @negative
  Scenario: The suite reports a backup that garbage collection skips
    Given an empty namespace "source"
    And two small backups of "source", "old" and "kept"
    # without the fault: both small backups expire
    When the small backup "old" expires
    Then the suite reports that the garbage collector took "old" and skipped "kept"
