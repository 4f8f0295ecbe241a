@AC-007-02
Feature: Velero has the keys that Git holds encrypted

  A file called .sops.yaml proves nothing: an encrypted_regex can miss a value, and a Secret in the cluster can have
  another origin. So the suite checks every value, decrypts every file, and compares the result with Velero's Secrets,
  which Flux must have applied.

  Scenario: Flux decrypts the Secrets of the repository, and Velero has exactly those
    Given the repository that Flux deploys from
    Then every value of every Secret in it is encrypted
    And no file, commit or tag of it, present or past, contains a key of Velero or anything else that looks like a secret
    And every encrypted file can be decrypted with the age key, and its MAC is valid
    And Velero's Secrets in the cluster are equal to the decrypted ones
    And a Kustomization that decrypts with SOPS applied them, in the cluster and in Git

  @negative
  Scenario Outline: The suite reports files with <damage>
    Given the repository that Flux deploys from
    # without the fault: each encrypted file has no damage
    When each encrypted file has <damage>
    Then the suite reports that none of them can be decrypted

    Examples:
      | damage                |
      | one character changed |
      | a value added         |
      | a value removed       |

  @negative
  Scenario: The suite reports a key that was changed in Git only
    Given a copy of the repository that Flux deploys from
    # without the fault: nothing
    When Velero's S3 key is changed in the copy
    Then the suite reports Velero's Secrets in the cluster as different
