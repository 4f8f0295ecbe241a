@AC-003-05
Feature: A backup that S3 fails is called failed, and the next one works

  Which phase says so depends on the moment: FailedValidation before the start, PartiallyFailed when
  volumes are missing, Failed when the metadata is. Never Completed, and never InProgress for ever.

  @exclusive
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
      | while the repository is made    | repository   | PartiallyFailed |
      | while the data is uploaded      | data         | PartiallyFailed |
      | while the metadata is uploaded  | metadata     | Failed          |

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

  @exclusive @soak
  Scenario Outline: S3 <fault> while a volume is uploaded
    Given a namespace "source" whose volume holds the standard corpus
    And the way to S3 is slow
    When "source" is backed up, and S3 <fault> while its volume is uploaded
    Then the backup is Failed and names "<cause>" as the cause
    And Velero logged the failure of the backup
    And the next backup of "source" is Completed once S3 is back

    Examples:
      | fault               | cause              |
      | refuses connections | connection refused |
      | resets connections  | connection reset   |

  @negative
  Scenario: A backup that nothing failed is not taken for a failed one
    Given the standard application, backed up
    Then the suite does not see a failure in its backup
