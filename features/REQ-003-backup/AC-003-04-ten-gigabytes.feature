@shares-timed-run
@AC-003-04
Feature: A large volume is backed up in time

  With less data than the register asks for (--data-size) this is a prediction, shown with its interval.

  @exclusive @long
  Scenario: Fresh data goes to S3 in time and comes back whole
    Given fresh data, backed up and restored with the clock running
    Then what moved the data ran with no more than the design's limits of node-agent
    And the backup was in time, or would be with as much data as the register asks for
    And what came back is what was there

  @exclusive @long @disrupt @negative
  Scenario: A slow link is known by small volumes already
    # without the fault: fresh data, backed up over the link as it is
    Given fresh data, backed up over a link that is far too slow
    Then with as much data as the register asks for the backup would come too late
