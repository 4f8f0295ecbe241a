@CLI-schedule-backup
Feature: kubectl apply creates an active schedule

  Scenario: Every call creates a schedule that becomes Enabled in time
    Given an account that has full access to Velero
    When the account repeatedly applies a schedule with kubectl
    Then every call succeeds in time, with the right output and effect

  @negative
  Scenario: A schedule with an impossible time is applied and rejected by Velero
    Given an account that has full access to Velero
    # without the fault: the account applies a schedule with kubectl
    When the account applies a schedule with an impossible time with kubectl
    Then the suite reports that Velero rejected the schedule, with the cause

  @negative
  Scenario: A misspelt field fails immediately
    Given an account that has full access to Velero
    # without the fault: the account applies a schedule with kubectl
    When the account applies a schedule with a misspelt field with kubectl
    Then the command fails with "unknown field"
    And the command created nothing

  @negative
  Scenario Outline: An account that <rights> is refused
    # without the fault: an account that has full access to Velero
    Given an account that <rights>
    When the account applies a schedule with kubectl
    Then the API server refuses the account
    And the command created nothing

    Examples:
      | rights                          |
      | may create backups and restores |
      | has no rights                   |
