@NFR-SEC-002
Feature: No S3 traffic crosses the network unencrypted

  Scenario: A backup and a restore send nothing readable
    When the standard application is backed up and restored into another namespace
    Then every connection to S3 started with a TLS handshake
    And no S3 request was readable on any connection

  @negative
  Scenario: The suite detects an unencrypted request
    # without the fault: a request is sent to S3 over HTTPS during a packet capture
    When a request is sent to S3 over plain HTTP during a packet capture
    Then the suite detects the plaintext connection
    And the suite reports the request as readable
