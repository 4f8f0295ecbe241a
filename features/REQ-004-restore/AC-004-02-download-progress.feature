@shares-slow-link
@AC-004-02
Feature: A restore downloads its data from S3, and tells how far it is

  Velero looks at its uploader every ten seconds; the link is slowed down, so that there is something to see.

  @exclusive @disrupt
  Scenario: Bytes done and packs asked of S3 grow side by side
    Given a volume of fresh data, backed up and restored over a slow link
    Then its volume went through its phases in order
    And the bytes done grew from sample to sample, before the end
    And at the same samples S3 had been asked for more and more packs

  @negative
  Scenario: A restore that shows only its end is not called tracked
    Given the standard application, backed up
    # without the fault: fresh data is restored over a slow link
    When its small volume is restored as "copy"
    Then its progress shows only the end, which the suite does not call progress
