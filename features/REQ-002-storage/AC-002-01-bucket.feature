@AC-002-01
Feature: The bucket keeps what Velero keeps, no more and no less

  Scenario: No versions and no lifecycle rule
    Then the bucket is there, without versions and without a lifecycle rule

  @exercise
  Scenario: Velero did not make it
    Then Velero's key may not make a bucket

  @exercise @negative
  Scenario: A bucket with versions and a rule is another one
    # without the fault: a bucket without versions and without a lifecycle rule
    Given a bucket with versions and a lifecycle rule
    Then it is seen not to be as designed
