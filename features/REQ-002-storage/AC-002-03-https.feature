@AC-002-03
Feature: Velero and its uploader reach S3 over HTTPS only

  Scenario: Every connection of a backup and of a restore is TLS
    Given the standard application, backed up and restored as a copy
    Then every connection to S3 began with a TLS handshake
    And the location and the repository ask for HTTPS with verification
    And S3 refuses plain HTTP

  @passive
  Scenario: What is configured is HTTPS
    Then the location asks for HTTPS with verification
    And S3 refuses plain HTTP

  @negative
  Scenario: A plain connection is seen among the others
    # without the fault: somebody asks S3 over HTTPS while packets are kept
    When somebody asks S3 in plain HTTP while packets are kept
    Then the plain connection is seen

  @negative
  Scenario: A certificate of somebody else is refused by the plugin and by the uploader
    # without the fault: a location that trusts the authority of S3
    Given a location that trusts another authority
    Then the plugin refuses the certificate of S3
    And the uploader refuses the certificate of S3
