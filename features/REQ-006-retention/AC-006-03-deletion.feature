@AC-006-03
Feature: An expired backup is deleted completely, and nothing else is

  Scenario: The expired backup is deleted, and another one of the same application stays whole
    Given a namespace "source" whose volume holds the standard corpus
    And two completed backups of "source": "old", with data that no other backup has, and "kept"
    And the "old" backup was restored into "copy"
    When the "old" backup expires
    Then nothing of the "old" backup and its restores is left in time
    And the next maintenance of the repository frees its space
    And the "kept" backup is whole: restored into "proof", every file is equal

  @exclusive @disrupt @negative
  Scenario: The suite reports an expired backup that a read-only location keeps
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: nothing
    And the location is read-only
    When the small backup expires
    Then the suite reports it as not deleted, and Velero labels it with the cause
    When the location is writable again
    Then the expired backup is deleted

  @exclusive @disrupt @negative
  Scenario: The suite reports an expired backup in an unavailable location, which is deleted later
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: nothing
    And S3 refuses connections
    # without the fault: nothing
    And Velero reports the location as Unavailable
    When the small backup expires
    Then the suite reports it as not deleted, and the garbage collector logs the cause
    When S3 accepts connections again
    Then the expired backup is deleted
