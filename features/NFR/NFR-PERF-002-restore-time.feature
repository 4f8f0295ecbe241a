@shares-timed-run
@NFR-PERF-002
Feature: A restore takes no longer than the design allows

  With less data than the register asks for (--data-size) this is a prediction, shown with its interval.

  @exclusive @long
  Scenario: Data is restored in time
    Given fresh data, backed up and restored with the clock running
    Then what moved the data ran with no more than the design's limits of node-agent
    And the restore was in time, or would be with as much data as the register asks for
    And what came back is what was there

  @exclusive @long @negative
  Scenario: A restore that leaves the data out is quick, and no success
    Given fresh data, backed up and restored with the clock running
    # without the fault: it is restored as "copy" with its pods
    When it is restored as "copy" without its pods, to which Velero would give the data
    Then that took no time, and is not called a success
