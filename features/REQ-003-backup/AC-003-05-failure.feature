@AC-003-05
Feature: A backup that S3 fails is reported as failed, and the next one works

  The phase depends on the moment: FailedValidation before the backup starts, PartiallyFailed when volumes are missing,
  Failed when the metadata is missing. It is never Completed, and never stays InProgress.

  @exclusive @soak
  Scenario Outline: S3 <fault> before the backup starts
    Given a namespace "source" whose volume holds the standard corpus
    And S3 <fault>
    And Velero reports the location as Unavailable
    When "source" is backed up
    Then the backup is FailedValidation, with "unavailable" as the cause
    When S3 is healthy again
    And "source" is backed up again
    Then the next backup is Completed, with its volume

    Examples:
      | fault                   |
      | refuses connections     |
      | resets connections      |
      | answers that it is busy |

  @exclusive
  Scenario Outline: S3 denies the <objects> of a backup
    Given a namespace "source" whose volume holds the standard corpus
    And S3 denies Velero write access to the <objects> of "source"
    When "source" is backed up
    Then the backup is <phase>, with "Access Denied" as the cause
    And Velero logged the failure of the backup
    When S3 is healthy again
    And "source" is backed up again
    Then the next backup is Completed, with its volume

    Examples:
      | objects  | phase  |
      | metadata | Failed |

    @soak
    Examples:
      | objects    | phase           |
      | repository | PartiallyFailed |
      | data       | PartiallyFailed |

  @exclusive
  Scenario: node-agent is killed during the upload of a volume
    Given a namespace "source" whose volume holds the standard corpus
    And the link to S3 is slow
    When "source" is backed up and node-agent is killed during the upload of its volume
    Then the backup reports the lost node-agent, or is complete where another pod uploads
    When S3 is healthy again
    And "source" is backed up again
    Then the next backup is Completed, with its volume

  @exclusive
  Scenario: Velero is restarted during the upload of a volume
    Given a namespace "source" whose volume holds the standard corpus
    And the link to S3 is slow
    When "source" is backed up and Velero is restarted during the upload of its volume
    Then the backup is Failed, with "during the server starting" as the cause
    When S3 is healthy again
    And "source" is backed up again
    Then the next backup is Completed, with its volume

  @exclusive
  Scenario: S3 is too slow for the timeout of the backup's volumes
    Given a namespace "source" whose volume holds the standard corpus
    And the link to S3 is slow
    When "source" is backed up with a short timeout for its volumes
    Then the backup is PartiallyFailed, with "timed out waiting for all PodVolumeBackups" as the cause
    And Velero logged the failure of the backup
    When S3 is healthy again
    And "source" is backed up again
    Then the next backup is Completed, with its volume

  @own-velero @long
  Scenario: S3 is unreachable during an upload for longer than restic retries
    When a second Velero loses S3 during an upload for longer than its uploader retries
    Then its backup is Failed, with "connection refused" as the cause, and the failure is logged
    And its next backup is Completed once S3 is back
    And its earlier backup is undamaged

  @exclusive @soak
  Scenario Outline: S3 <fault> during the <moment>
    Given a namespace "source" whose volume holds the standard corpus
    And the link to S3 is slow
    When "source" is backed up and S3 <fault> during the <moment>
    Then the backup is Failed, with "<cause>" as the cause
    And Velero logged the failure of the backup
    When S3 is healthy again
    And "source" is backed up again
    Then the next backup is Completed, with its volume

    Examples:
      | fault                   | moment                     | cause              |
      | refuses connections     | creation of its repository | connection refused |
      | resets connections      | creation of its repository | connection reset   |
      | answers that it is busy | creation of its repository | SlowDown           |
      | resets connections      | upload of its volume       | connection reset   |
      | answers that it is busy | upload of its volume       | SlowDown           |
      | refuses connections     | upload of its metadata     | connection refused |
      | resets connections      | upload of its metadata     | connection reset   |
      | answers that it is busy | upload of its metadata     | SlowDown           |

  @negative
  Scenario: A completed backup does not count as a reported failure
    # without the fault: an application is backed up while S3 denies its data
    When the standard application is backed up
    Then the suite reports that the backup names no failure
