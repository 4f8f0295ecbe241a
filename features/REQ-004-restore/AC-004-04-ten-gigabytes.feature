@shares-timed-run
@AC-004-04
Feature: A large volume is restored in time

  With less data than the register asks for (--data-size) this is a prediction, shown with its interval.

  @exclusive @long
  Scenario: Data comes back from S3 in time and whole
    Given fresh data, backed up and restored with the clock running
    Then what moved the data ran with no more than the design's limits of node-agent
    And the restore was in time, or would be with as much data as the register asks for
    And what came back is what was there

  @exclusive @long @disrupt @negative
  Scenario: A slow link is known by small volumes already
    # without the fault: fresh data, restored over the link as it is
    Given fresh data, restored over a link that is far too slow
    Then with as much data as the register asks for the restore would come too late
