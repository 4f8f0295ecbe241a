@NFR-SEC-001
Feature: Keys are encrypted before they are committed

  Scenario: The repository holds no plaintext key, and never did
    Given the repository that Flux deploys from
    Then every value of every Secret in it is encrypted
    And the pre-commit hook accepts every file of it
    And no file, commit or tag of it, present or past, contains a key of Velero or anything else that looks like a secret

  @negative
  Scenario Outline: The pre-commit hook rejects <content>
    # without the fault: a new file with an encrypted Secret
    Given a new file with <content>
    Then the pre-commit hook rejects it and shows none of its values

    Examples:
      | content                                       |
      | a plaintext Secret                            |
      | a base64-encoded Secret                       |
      | a list with a plaintext Secret                |
      | a Secret whose encrypted_regex misses a value |
      | an age private key                            |
      | an age private key in a ConfigMap, in base64  |

  @negative
  Scenario Outline: The suite finds <content> that was committed once
    Given a copy of the repository that Flux deploys from
    # without the fault: an encrypted Secret is committed to the copy and removed again
    When <content> is committed to the copy and removed again
    Then the suite finds it in the history, although no file contains it

    Examples:
      | content                                      |
      | a base64-encoded Secret                      |
      | an age private key                           |
      | an age private key in a ConfigMap, in base64 |
