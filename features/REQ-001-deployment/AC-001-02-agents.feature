@AC-001-02
Feature: Every node with a volume has a node-agent

  The DaemonSet calls itself complete although a tainted node has no pod of it: such a node is not
  even wanted. So the volumes say where an agent has to be.

  Scenario: Every volume of the storage class is within reach of an agent
    Given the standard application, backed up
    Then every node that carries a volume of the class has a ready node-agent
    And every node-agent sees the pods of its node
    And the volume was backed up by the node-agent of its own node

  @passive
  Scenario: The volumes that there are, are within reach
    Then every node that carries a volume of the class has a ready node-agent
    And every node-agent sees the pods of its node

  @exclusive @disrupt @negative
  Scenario: A node that lost its agent is noticed, though the DaemonSet says it is complete
    Given the standard application, backed up
    # without the fault: the node of its volume keeps its node-agent
    When the node of its volume is tainted and its node-agent ends
    Then the DaemonSet calls itself complete
    And the node is seen to be without node-agent
    And the node-agent is back once the taint is gone

  @exclusive @disrupt @soak @negative
  Scenario: An affinity that keeps node-agent off a node costs the volumes that are on it
    Given the standard application, backed up
    # without the fault: nothing
    When an affinity that keeps node-agent off the node of its volume is committed to Git
    Then the DaemonSet calls itself complete
    And the node is named, with its volumes, as left out
    And a backup of the application fails for want of node-agent there
