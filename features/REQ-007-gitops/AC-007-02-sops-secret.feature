@AC-007-02
Feature: Velero has the keys that Git holds encrypted

  A file called .sops.yaml proves nothing: an encrypted_regex can leave a value open, and a Secret
  in the cluster can have come from anywhere. So every value is looked at, every file has to open,
  and what Velero has must be what they hold, put there by Flux.

  Scenario: Flux decrypts the repository's Secrets, and Velero has exactly those
    Given the repository that Flux deploys from
    Then every value of every Secret in it is encrypted
    And every encrypted file opens with the age key, its MAC intact
    And Velero's Secrets in the cluster are what the repository's decrypt to
    And a Kustomization that decrypts with SOPS applied them, in the cluster and in Git

  @negative
  Scenario Outline: A damaged file does not open
    Given the repository that Flux deploys from
    # without the fault: each of its encrypted files has no damage
    When each of its encrypted files has <damage>
    Then not one of them opens

    Examples:
      | damage                |
      | one character changed |
      | a value added         |
      | a value removed       |

  @negative
  Scenario: A key that was changed in Git alone is noticed
    Given a copy of the repository that Flux deploys from
    # without the fault: nothing
    When somebody changes Velero's S3 key in it
    Then the suite calls Velero's Secrets in the cluster different
