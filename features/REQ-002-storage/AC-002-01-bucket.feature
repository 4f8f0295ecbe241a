@AC-002-01
Feature: The bucket keeps what Velero keeps, no more and no less

  Scenario: The bucket has no versioning and no lifecycle rule
    Then the bucket exists, without versioning and without a lifecycle rule

  @exercise
  Scenario: Velero did not create the bucket
    Then Velero's key cannot create a bucket

  @exercise @negative
  Scenario: The suite reports a bucket with versioning and a lifecycle rule
    # without the fault: another bucket is created without versioning and without a lifecycle rule
    When another bucket is created with versioning and a lifecycle rule
    Then the suite reports that bucket as not matching the design
