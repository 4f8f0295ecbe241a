@AC-003-05
Feature: A backup that S3 fails is called failed, and the next one works

  Which phase says so depends on the moment: FailedValidation before the start, PartiallyFailed when
  volumes are missing, Failed when the metadata is. Never Completed, and never InProgress for ever.

  @exclusive @soak
  Scenario: S3 is gone before the backup starts
    Given a namespace "source" whose volume holds the standard corpus
    And S3 refuses connections
    And Velero knows that the location is unavailable
    When "source" is backed up
    Then the backup is FailedValidation and names "unavailable" as the cause
    And the next backup of "source" is Completed once S3 is back

  @exclusive
  Scenario Outline: S3 denies access <moment>
    Given a namespace "source" whose volume holds the standard corpus
    And S3 denies Velero the <objects> of "source"
    When "source" is backed up
    Then the backup is <phase> and names "Access Denied" as the cause
    And Velero logged the failure of the backup
    And the next backup of "source" is Completed once S3 is back

    Examples:
      | moment                          | objects      | phase           |
      | while the metadata is uploaded  | metadata     | Failed          |

    @soak
    Examples:
      | moment                          | objects      | phase           |
      | while the repository is made    | repository   | PartiallyFailed |
      | while the data is uploaded      | data         | PartiallyFailed |

  @exclusive
  Scenario: node-agent ends while a volume is uploaded
    Given a namespace "source" whose volume holds the standard corpus
    And the way to S3 is slow
    When "source" is backed up, and node-agent ends while its volume is uploaded
    Then the backup fails and names that as the cause, or is whole where another pod uploads
    And the next backup of "source" is Completed once S3 is back

  @exclusive
  Scenario: Velero ends while a volume is uploaded
    Given a namespace "source" whose volume holds the standard corpus
    And the way to S3 is slow
    When "source" is backed up, and Velero ends while its volume is uploaded
    Then the backup is Failed and names "during the server starting" as the cause
    And the next backup of "source" is Completed once S3 is back

  @exclusive
  Scenario: S3 is too slow for the time that a backup has
    Given a namespace "source" whose volume holds the standard corpus
    And the way to S3 is slow
    When "source" is backed up with little patience for its volumes
    Then the backup is PartiallyFailed and names "timed out waiting for all PodVolumeBackups" as the cause
    And Velero logged the failure of the backup
    And the next backup of "source" is Completed once S3 is back

  @own-velero @long
  Scenario: S3 goes away in the middle of an upload, for longer than restic is patient
    When a second Velero loses S3 during an upload, for longer than its uploader retries
    Then its backup is Failed, names "connection refused" as the cause, and the failure is logged
    And its next backup is Completed once S3 is back
    And what it had backed up before is undamaged

  @exclusive @soak
  Scenario Outline: S3 <fault> before the backup starts
    Given a namespace "source" whose volume holds the standard corpus
    And S3 <fault> from now on
    And Velero knows that the location is unavailable
    When "source" is backed up
    Then the backup is FailedValidation and names "unavailable" as the cause
    And the next backup of "source" is Completed once S3 is back

    Examples:
      | fault                |
      | resets connections   |
      | says that it is busy |

  @exclusive @soak
  Scenario Outline: S3 <fault> while <moment>
    Given a namespace "source" whose volume holds the standard corpus
    And the way to S3 is slow
    When "source" is backed up, and S3 <fault> while <moment>
    Then the backup is Failed and names "<cause>" as the cause
    And Velero logged the failure of the backup
    And the next backup of "source" is Completed once S3 is back

    Examples:
      | fault                | moment                   | cause              |
      | refuses connections  | its repository is made   | connection refused |
      | resets connections   | its repository is made   | connection reset   |
      | says that it is busy | its repository is made   | SlowDown           |
      | resets connections   | its volume is uploaded   | connection reset   |
      | says that it is busy | its volume is uploaded   | SlowDown           |
      | refuses connections  | its metadata is uploaded | connection refused |
      | resets connections   | its metadata is uploaded | connection reset   |
      | says that it is busy | its metadata is uploaded | SlowDown           |

  @negative
  Scenario: A backup that nothing failed is not taken for a failed one
    # without the fault: an application whose backup S3 has failed
    Given the standard application, backed up
    Then the suite does not see a failure in its backup
