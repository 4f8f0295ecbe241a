@NFR-RESOURCE-001
Feature: node-agent stays within the memory and the CPU that the design gives it

  Memory is the working set, as kubelet counts it: what the kernel could take back at once, file cache that was not
  used lately, is no use of node-agent, and fills its group up to the limit whenever it has room.

  @exclusive
  Scenario: Many small files and fresh data are carried within the limits
    Given many small files and fresh data, backed up and restored with node-agent watched
    Then no node-agent used more memory or CPU than the design allows
    And Prometheus saw the same use
    And every node-agent is of the quality of service that the design wants

  @exclusive @disrupt
  Scenario: A backup whose uploader is killed for want of memory is called failed, and the next one works
    Given many small files and fresh data, of which there is no backup yet
    And node-agent has less memory than restic needs
    When they are backed up
    Then the kernel killed the uploader, and the backup is not Completed
    And the next backup of them is Completed once node-agent has its memory back

  @exclusive @negative
  Scenario: More than the design allows is seen, and so is a Prometheus that saw something else
    Given many small files and fresh data, backed up and restored with node-agent watched
    # without the fault: one of them, as it was watched
    And a pod that uses more than the design allows, watched likewise
    Then the suite calls its memory and its CPU too much
    And it does not take what Prometheus saw of one node-agent for another's
    And it does not take that pod for one of the quality of service that the design wants

  @exclusive @negative
  Scenario: A backup that was Completed is not taken for one whose uploader was killed
    # without the fault: many small files and fresh data, backed up while the kernel kills the uploader
    Given many small files and fresh data, backed up and restored with node-agent watched
    Then the suite does not call it a failure that was told
