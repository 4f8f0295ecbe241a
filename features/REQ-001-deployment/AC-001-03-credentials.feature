@AC-001-03
Feature: Only Velero and node-agent can read the S3 credentials

  @observe
  Scenario: The credentials are mounted by Velero and node-agent and appear nowhere else
    Then Velero and node-agent read the credentials from a file
    And no other pod in the cluster uses the Secret
    And no argument, variable, log, event or object in the cluster contains the keys

  Scenario: A service account of another namespace cannot read the Secret
    Given an empty namespace "elsewhere"
    When a service account in "elsewhere" tries to read the Secret
    Then the API server refuses to show the Secret

  @negative
  Scenario: The suite reports a pod that uses the Secret, and a ConfigMap that contains a key
    Given an empty namespace "elsewhere"
    # without the fault: nothing
    When another pod uses the Secret
    # without the fault: nothing
    And a ConfigMap in "elsewhere" contains one of the keys
    Then the suite reports the pod as a foreign user of the Secret
    And the suite reports the key in the ConfigMap
