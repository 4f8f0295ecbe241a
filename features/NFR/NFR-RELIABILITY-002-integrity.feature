@NFR-RELIABILITY-002
Feature: Restored data is the data that was backed up

  Scenario: Velero gives every file back, and so does restic without Velero
    Given the standard application, backed up and restored as a copy
    Then every file of the corpus in the copy is equal, bytes and metadata
    And restic alone finds every file of the corpus in the repository

  @disrupt @negative
  Scenario: A damaged repository never passes for a good restore
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    When a byte of its data in S3 is flipped
    And the backup of "source" is restored as "target"
    Then the damage is seen: the restore fails, or the suite calls the data different
    And restic alone names the damage
