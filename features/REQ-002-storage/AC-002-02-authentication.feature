@AC-002-02
Feature: Velero uses the credentials of its Secret, and they give access to one bucket only

  Scenario: Velero signs its requests with the keys of its Secret
    Then Velero signs its S3 requests with the key of its Secret
    And that key has no access to another bucket

  @negative
  Scenario: Velero reports a wrong key
    # without the fault: a location is created with the right key
    When a location is created with a wrong key
    Then Velero reports that location as Unavailable because of its key

  @negative
  Scenario: The suite reports a key with too many permissions
    # without the fault: the key of Velero's Secret
    Given a key with access to every bucket
    Then the suite reports that this key has access to another bucket

  @exclusive @disrupt
  Scenario: Velero uses new keys from Git without a restart
    When new keys are committed to Git
    Then Velero signs its S3 requests with the new key
    And Velero validates the location with the new key
