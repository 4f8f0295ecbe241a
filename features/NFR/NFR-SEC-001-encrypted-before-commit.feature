@NFR-SEC-001
Feature: Keys are encrypted before they are committed

  Scenario: The repository holds no plaintext key, and never did
    Given the repository that Flux deploys from
    Then every value of every Secret in it is encrypted
    And the pre-commit hook accepts every file of it
    And no commit of its history contains a plaintext key of Velero

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

  @negative
  Scenario: The suite finds a key that was committed once
    Given a copy of the repository that Flux deploys from
    # without the fault: an encrypted Secret is committed to the copy and removed again
    When a base64-encoded Secret is committed to the copy and removed again
    Then the suite finds its keys in the history, although no file contains them
