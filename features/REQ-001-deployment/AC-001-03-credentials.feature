@AC-001-03
Feature: Nobody but Velero can see the S3 credentials

  @observe
  Scenario: The credentials are where they belong and nowhere else
    Then Velero and node-agent read the credentials from a file
    And no other pod of the cluster takes the secret
    And no argument, variable, log, event or object of the cluster holds the keys

  Scenario: A service account of another namespace cannot read them
    Given an empty namespace "elsewhere"
    Then a service account in "elsewhere" is refused the secret

  @negative
  Scenario: A pod that takes the secret, and a copy of a key, are found
    Given an empty namespace "elsewhere"
    # without the fault: nothing
    When somebody gives the secret to a pod of their own
    # without the fault: nothing
    And somebody keeps one of the keys in a ConfigMap in "elsewhere"
    Then the pod is seen to take the secret
    And the ConfigMap is seen to hold a key
