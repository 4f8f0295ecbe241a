@NFR-SEC-002
Feature: Nothing of S3 crosses the network in the clear

  Scenario: A backup and a restore send nothing that could be read
    Given the standard application, backed up and restored as a copy
    Then every connection to S3 began with a TLS handshake
    And no S3 request was readable on any connection

  @negative
  Scenario: A request in the clear is seen
    # without the fault: somebody asks S3 over HTTPS while packets are kept
    When somebody asks S3 in plain HTTP while packets are kept
    Then the plain connection is seen
    And the request is seen to be readable
