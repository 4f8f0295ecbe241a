@AC-006-02
Feature: The collector finds what has expired, and nothing else

  Scenario: Of two backups only the expired one is to be deleted
    Given an empty namespace "source"
    And two small backups of "source", "old" and "kept"
    When the small backup "old" expires
    Then the collector calls "old" expired and asks for its deletion
    And it does neither for "kept"

  @negative
  Scenario: A backup that the collector passes over is noticed
    Given an empty namespace "source"
    And two small backups of "source", "old" and "kept"
    # without the fault: the small backups "old" and "kept" expire
    When the small backup "old" expires
    Then the suite sees that the collector passed over "kept"
