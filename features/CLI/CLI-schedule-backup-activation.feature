@CLI-schedule-backup
Feature: kubectl apply makes a schedule that is active

  Scenario: Every call is answered, and its schedule becomes active
    Given an account that may do everything with Velero
    When the account applies schedules with kubectl, again and again
    Then each call says so, and its schedule is active in time

  @negative
  Scenario: A schedule whose time is impossible is applied, and never active
    Given an account that may do everything with Velero
    # without the fault: the account applies a schedule with kubectl
    When the account applies a schedule whose time is impossible with kubectl
    Then Velero refuses the schedule and says why

  @negative
  Scenario: A misspelt field is an error at once
    Given an account that may do everything with Velero
    # without the fault: the account applies a schedule with kubectl
    When the account applies a schedule with a misspelt field with kubectl
    Then the command fails and says "unknown field"
    And nothing was made by it

  @negative
  Scenario Outline: An account without the right is refused
    # without the fault: an account that may do everything with Velero
    Given an account that <rights>
    When the account applies a schedule with kubectl
    Then the account is refused
    And nothing was made by it

    Examples:
      | rights                          |
      | may create backups and restores |
      | may do nothing                  |
