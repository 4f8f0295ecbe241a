@shares-slow-link
@AC-004-02
Feature: A restore downloads its data from S3 and reports its progress

  Velero reads the progress of its uploader every ten seconds. The link to S3 is slowed down, so that there is progress
  to read.

  @exclusive @disrupt
  Scenario: The bytes done and the packs requested from S3 grow together
    When fresh data is backed up and restored over a slow link
    Then its volume went through its phases in order
    And the bytes done grew from sample to sample before the end
    And S3 had served more packs from sample to sample

  @negative
  Scenario: The suite reports a restore that shows only its end
    Given a backup of the standard application
    # without the fault: fresh data is backed up and restored over a slow link
    When its small volume is restored into "copy"
    Then the suite reports that no progress was visible before the end
