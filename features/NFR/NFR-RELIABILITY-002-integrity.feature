@NFR-RELIABILITY-002
Feature: Restored data is the data that was backed up

  The oracle is the uploader's own command: it reads the repository without Velero.

  Scenario: Velero gives every file back, and so does its uploader without Velero
    Given a namespace "source" whose volume holds the torture corpus
    And a completed backup of "source"
    When the backup of "source" is restored as "copy"
    And the volume, the repository and the volume of "copy" are compared with the plan
    Then every file of the restored volume is equal, bytes and metadata, but for what is documented
    And the oracle finds every file in the repository, and every byte of the repository undamaged

  @disrupt @negative
  Scenario: A damaged repository never passes for a good restore
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    # without the fault: nothing
    When a byte of its data in S3 is flipped
    And the backup of "source" is restored as "target"
    Then the damage is seen: the restore fails, or the suite calls the data different
    And the oracle names the damage

  @disrupt @soak @negative
  Scenario: A repository that lost a pack never passes for a good restore
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    # without the fault: nothing
    When the largest pack of its data in S3 is deleted
    And the backup of "source" is restored as "target"
    Then the damage is seen: the restore fails, or the suite calls the data different
    And the oracle names the damage

  Scenario: What is written during the backup is there up to its start, and consistent where hooks quiesce it
    Given an application that writes while it is backed up, some of its files quiesced by hooks, restored as a copy
    Then Velero ran the hooks
    And the quiesced file and database and the journal are consistent in the copy
    And every write from before the backup is in the copy

  @negative
  Scenario: A file that nothing quiesces is called inconsistent, and later writes are called lost
    Given an application that writes while it is backed up, some of its files quiesced by hooks, restored as a copy
    # without the fault: the suite calls the file that hooks quiesce inconsistent
    Then the suite calls the file that no hook quiesces inconsistent
    And the suite counts the writes from after the backup as lost
