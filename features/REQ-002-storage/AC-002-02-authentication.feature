@AC-002-02
Feature: Velero uses the credentials of its secret, and they open one bucket

  Scenario: The keys in use are those of the secret
    Then S3 sees Velero sign with the key of its secret
    And that key may use no other bucket

  @negative
  Scenario: A wrong key is refused, with the reason
    # without the fault: a location with the right key
    Given a location with a wrong key
    Then Velero calls that location unavailable for its key

  @negative
  Scenario: A key with too many rights is noticed
    # without the fault: the key of Velero's secret
    Given a key that opens every bucket
    Then it is seen to open another bucket

  @exclusive @disrupt
  Scenario: New keys committed to Git are used without a restart
    When new keys are committed to Git
    Then S3 sees Velero sign with the new key
    And the location is available by the new key
