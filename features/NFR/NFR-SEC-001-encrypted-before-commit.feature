@NFR-SEC-001
Feature: Keys are encrypted before they are committed

  Scenario: The repository holds no key in the clear, and never did
    Given the repository that Flux deploys from
    Then every value of every Secret in it is encrypted
    And the pre-commit hook lets every file of it pass
    And no commit of its history holds a key of Velero in the clear

  @negative
  Scenario Outline: The hook refuses plaintext
    # without the fault: a new file with an encrypted Secret
    Given a new file with <content>
    Then the pre-commit hook refuses it and shows no value of it

    Examples:
      | content                                            |
      | a Secret in the clear                              |
      | a Secret in base64                                 |
      | a list with a Secret in the clear                  |
      | a Secret whose encrypted_regex leaves a value open |

  @negative
  Scenario: A key that was committed once is found
    Given a copy of the repository that Flux deploys from
    # without the fault: somebody commits an encrypted Secret there, and takes it out again
    When somebody commits a Secret in base64 there, and takes it out again
    Then the suite finds its keys in the history, though no file holds them
