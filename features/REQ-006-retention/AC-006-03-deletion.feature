@AC-006-03
Feature: An expired backup is deleted, everywhere and alone

  Scenario: The expired one goes, its neighbour stays whole
    Given a namespace "source" whose volume holds the standard corpus
    And two completed backups of "source": the "old" one, with data that nobody else has, and the "kept" one
    And the "old" backup was restored as "copy"
    When the "old" backup expires
    Then nothing of the "old" backup and its restores is left in time
    And its space comes back with the next maintenance of the repository
    And the "kept" backup is whole: restored as "proof", every file is equal

  @exclusive @disrupt @negative
  Scenario: A read-only location keeps an expired backup, and says so
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: nothing
    And the location is read-only
    When the small backup expires
    Then it is still there, marked as not deletable
    And it goes once the location can be written again

  @exclusive @disrupt @negative
  Scenario: An unavailable location keeps an expired backup, and it goes afterwards
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: nothing
    And Velero knows that S3 cannot be reached
    When the small backup expires
    Then it is still there, and the collector says that it cannot reach it
    And it goes once S3 can be reached again
