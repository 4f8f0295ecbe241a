@CLI-get-logs
Feature: velero backup logs shows the log of a backup

  What it asks Velero for shows a signed address for a moment, which holds the name of the S3 key. So nobody
  may look for keys meanwhile.

  @exclusive
  Scenario: It is the log that S3 holds, line for line
    Given the standard application, backed up
    And an account that may only read
    When the account reads the log of the backup with velero, again and again
    Then each time it is the log that S3 holds, line for line, in time

  @exclusive @negative
  Scenario: A backup at work has no log yet
    Given the standard application, backed up
    And a namespace "source" with an empty volume
    And an account that may only read
    When a backup of "source" is at work
    # without the fault: the account reads the log of the backup with velero
    And the account reads its log with velero meanwhile
    Then the command fails and says "not available until it's finished processing"
    And once the backup is Completed, its log can be read

  @exclusive @disrupt @negative
  Scenario: Without S3 there is one clear error, and soon
    Given the standard application, backed up
    And an account that may only read
    # without the fault: nothing
    And S3 refuses connections
    When the account reads the log of the backup with velero
    Then the command fails soon and names the log that it could not fetch

  @negative
  Scenario: A backup that does not exist is an error
    Given the standard application, backed up
    And an account that may only read
    # without the fault: the account reads the log of the backup with velero
    When the account reads the log of a backup that does not exist with velero
    Then the command fails and says "does not exist"

  @negative
  Scenario Outline: An account without the right is refused
    Given the standard application, backed up
    # without the fault: an account that may only read
    And an account that <rights>
    When the account reads the log of the backup with velero
    Then the account is refused

    Examples:
      | rights                            |
      | may look, and ask for no download |
      | may do nothing                    |
