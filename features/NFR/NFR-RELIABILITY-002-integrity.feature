@NFR-RELIABILITY-002
Feature: Restored data is the data that was backed up

  Velero is checked by the uploader's own command (restic or kopia), which reads the repository without Velero.

  Scenario: Velero restores every file, and the uploader alone finds every file
    Given a namespace "source" whose volume holds the torture corpus
    And a completed backup of "source"
    When the backup is restored into "copy"
    And the volume, the repository and the restored volume in "copy" are compared with the manifest
    Then every file of the restored volume is equal, bytes and metadata, except for documented deviations
    And the uploader alone finds every file in the repository, and no damage

  Scenario: A second backup holds what was added, changed, renamed, replaced and removed since the first
    When an application is backed up, changed and backed up again
    And its second backup is restored into "copy"
    Then every file in "copy" is as it was after the change, except for documented deviations

  @negative
  Scenario: The suite reports a restore with the data from before the change
    When an application is backed up, changed and backed up again
    # without the fault: its second backup is restored into "copy"
    And its first backup is restored into "copy"
    Then the suite reports the data in "copy" as that from before the change

  @exclusive @disrupt
  Scenario: Volumes and pods of every shape are restored
    Given a namespace with volumes and pods of every shape, and a completed backup of it
    When the backup of it is restored into "copy"
    Then every pod of every shape in "copy" is ready
    And every volume of every shape in "copy" is equal, bytes and metadata
    And every object of every shape is in "copy", and as it was
    And the claim of a block device is the only one that the backup holds no data of

  @disrupt @negative
  Scenario: The suite reports a volume in memory that the backup leaves out
    # without the fault: a namespace with volumes and pods of every shape, and a completed backup of it
    Given a namespace with volumes and pods of every shape, and a backup that leaves out the one in memory
    When the backup of it is restored into "copy"
    Then the suite reports a volume in "copy" as different

  @disrupt @negative
  Scenario: The suite detects a flipped byte in the repository
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    # without the fault: nothing
    When a byte of the backup's data in S3 is flipped
    And the backup is restored into "target"
    Then the suite detects the damage, by a failed restore or by different data
    And the uploader alone reports the damage

  @soak @long
  Scenario: A volume with very many entries in one folder and a very large file is restored
    Given a namespace "source" whose volume holds very many entries in one folder and a very large file
    When that large volume is backed up and restored into "copy"
    Then every file of the large volume in "copy" is equal, except for documented deviations

  @soak
  Scenario: Files that vanish, shrink and grow while they are read cost no other file silently
    Given a namespace "source" whose volume holds the standard corpus
    And files in the volume of "source" that come, change and go
    When "source" is backed up
    Then the backup says that it failed, or every other file is equal when it is restored into "copy"

  @disrupt @soak @negative
  Scenario: The suite detects a missing pack in the repository
    Given a namespace "source" whose volume holds the standard corpus
    And a completed backup of "source"
    # without the fault: nothing
    When the largest pack of the backup's data in S3 is deleted
    And the backup is restored into "target"
    Then the suite detects the damage, by a failed restore or by different data
    And the uploader alone reports the damage

  Scenario: Writes up to the start of the backup are restored, and consistent where hooks quiesce the writer
    When a writing application is backed up, some of its files quiesced by hooks, and restored into another namespace
    Then Velero ran the hooks
    And the quiesced file, the quiesced database and the append-only log are consistent in the copy
    And every write from before the backup is in the copy

  @negative
  Scenario: The suite reports an inconsistent file where nothing quiesces it, and the loss of later writes
    When a writing application is backed up, some of its files quiesced by hooks, and restored into another namespace
    # without the fault: the suite reports the quiesced file as inconsistent
    Then the suite reports the unquiesced file as inconsistent
    And the suite reports the writes from after the backup as lost
