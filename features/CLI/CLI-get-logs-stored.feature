@CLI-get-logs
Feature: velero backup logs shows the log of a backup

  The command makes Velero publish a signed URL for a moment, which contains the name of the S3 key. So no other scenario
  may search for keys meanwhile.

  @exclusive
  Scenario: Every call shows the log that S3 holds, line by line, in time
    Given a backup of the standard application
    And an account that may only read
    When the account repeatedly reads the log of the backup with velero
    Then every call succeeds in time, with the right output and effect

  @exclusive @negative
  Scenario: A backup in progress has no log yet
    Given a backup of the standard application
    And a namespace "source" with an empty volume
    And an account that may only read
    When a backup of "source" is in progress
    # without the fault: the account reads the log of the backup with velero
    And the account reads its log with velero meanwhile
    Then the command fails with "not available until it's finished processing"
    And the log can be read once the backup is Completed

  @exclusive @disrupt @negative
  Scenario: Without S3 the command fails soon, with one clear error
    Given a backup of the standard application
    And an account that may only read
    # without the fault: nothing
    And S3 refuses connections
    When the account reads the log of the backup with velero
    Then the command fails soon and names the log that it could not fetch

  @negative
  Scenario: A backup that does not exist is an error
    Given a backup of the standard application
    And an account that may only read
    # without the fault: the account reads the log of the backup with velero
    When the account reads the log of a backup that does not exist with velero
    Then the command fails with "does not exist"

  @negative
  Scenario Outline: An account that <rights> is refused
    Given a backup of the standard application
    # without the fault: an account that may only read
    And an account that <rights>
    When the account reads the log of the backup with velero
    Then the API server refuses the account

    Examples:
      | rights                             |
      | may read but not request downloads |
      | has no rights                      |
