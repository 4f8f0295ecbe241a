@AC-002-03
Feature: Velero and its uploader reach S3 over HTTPS only

  Scenario: Every connection of a backup and of a restore uses TLS
    When the standard application is backed up and restored into another namespace
    Then every connection to S3 started with a TLS handshake
    And the location and the repository are configured for verified HTTPS
    And S3 refuses plain HTTP

  @passive
  Scenario: The location is configured for HTTPS
    Then the location is configured for verified HTTPS
    And S3 refuses plain HTTP

  @negative
  Scenario: The suite detects a plaintext connection
    # without the fault: a request is sent to S3 over HTTPS during a packet capture
    When a request is sent to S3 over plain HTTP during a packet capture
    Then the suite detects the plaintext connection

  @negative
  Scenario: The plugin and the uploader reject the certificate of another CA
    # without the fault: a location is created that trusts the CA of S3
    When a location is created that trusts another CA
    Then the plugin rejects the certificate of S3
    And the uploader rejects the certificate of S3
