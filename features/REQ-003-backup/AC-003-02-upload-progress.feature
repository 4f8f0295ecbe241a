@shares-slow-link
@AC-003-02
Feature: A backup tells how far it is while it uploads

  Velero looks at its uploader every ten seconds; the link is slowed down, so that there is something to see.

  @exclusive @disrupt
  Scenario: Bytes done and packs in S3 grow side by side
    Given a volume of fresh data, backed up over a slow link
    Then its volume went through its phases in order
    And the bytes done grew from sample to sample, before the end
    And at the same samples there were more and more packs in S3

  @negative
  Scenario: A backup that shows only its end is not called tracked
    Given the standard application, backed up
    # without the fault: fresh data is backed up over a slow link
    When it is backed up again, with nothing new in it
    Then its progress shows only the end, which the suite does not call progress
