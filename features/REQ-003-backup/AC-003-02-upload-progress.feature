@shares-slow-link
@AC-003-02
Feature: A backup reports its progress while it uploads

  Velero reads the progress of its uploader every ten seconds. The link to S3 is slowed down, so that there is progress
  to read.

  @exclusive @disrupt
  Scenario: The bytes done and the packs in S3 grow together
    When fresh data is backed up over a slow link
    Then its volume went through its phases in order
    And the bytes done grew from sample to sample before the end
    And S3 held more packs from sample to sample

  @negative
  Scenario: The suite reports a backup that shows only its end
    Given a backup of the standard application
    # without the fault: fresh data is backed up over a slow link
    When the standard application is backed up again without changes
    Then the suite reports that no progress was visible before the end
