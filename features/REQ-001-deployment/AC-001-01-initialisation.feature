@AC-001-01
Feature: A started controller reaches S3

  A location can still say Available from before the restart, and Available proves no right to
  write. So the validation has to be new, and a backup has to arrive.

  @exclusive @disrupt
  Scenario: The location is validated anew after a restart
    When Velero is restarted
    Then the location was validated anew in time
    And a small backup arrives in S3

  @exclusive @disrupt @negative
  Scenario: An Available from before the restart does not count
    # without the fault: nothing
    Given S3 refuses connections
    When Velero is restarted
    Then no new validation calls the location available
    And a small backup does not arrive in S3
    And the location is available again once S3 answers
