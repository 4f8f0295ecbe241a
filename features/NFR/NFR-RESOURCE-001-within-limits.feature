@NFR-RESOURCE-001
Feature: node-agent stays within the memory and the CPU that the design gives it

  Memory is the working set, as kubelet counts it. The file cache that was not used lately does not belong to it: the
  kernel reclaims it at once, and it fills the cgroup up to the limit whenever there is room.

  @exclusive
  Scenario: node-agent handles many small files and fresh data within its limits
    When many small files and fresh data are backed up and restored while node-agent is monitored
    Then no node-agent used more memory or CPU than the design allows
    And Prometheus recorded the same usage
    And every node-agent is Burstable, as the design wants

  @exclusive @disrupt
  Scenario: A backup whose uploader is OOM-killed is reported as failed, and the next one works
    Given many small files and fresh data without a backup
    And node-agent has less memory than restic needs
    When they are backed up
    Then the kernel killed the uploader, and the backup is not Completed
    When node-agent has its memory back
    And they are backed up again
    Then the next backup of them is Completed, with its volume

  @exclusive @negative
  Scenario: The suite reports excessive usage, and Prometheus readings that do not match
    When many small files and fresh data are backed up and restored while node-agent is monitored
    # without the fault: one of the monitored node-agents is judged
    And a pod that uses more than the design allows is monitored and judged
    Then the suite reports its memory and its CPU as too high
    And the suite reports CPU readings that stand still as not matching
    And the suite flags that pod as not Burstable

  @exclusive @negative
  Scenario: A Completed backup does not count as a reported OOM kill
    # without the fault: many small files and fresh data are backed up while the kernel kills the uploader
    When many small files and fresh data are backed up and restored while node-agent is monitored
    Then the suite does not count it as a reported failure
