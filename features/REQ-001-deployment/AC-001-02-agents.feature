@AC-001-02
Feature: Every node with a volume has a node-agent

  The DaemonSet is complete even if a tainted node has no pod: it desires none there. So the suite starts
  from the volumes: each node that carries one needs a node-agent.

  Scenario: Every volume of the storage class has a node-agent on its node
    When the standard application is backed up
    Then every node with a volume of the storage class has a ready node-agent
    And every node-agent sees the pods of its node
    And the node-agent on the node of the volume backed it up

  @passive
  Scenario: Every existing volume has a node-agent on its node
    Then every node with a volume of the storage class has a ready node-agent
    And every node-agent sees the pods of its node

  @exclusive @disrupt @negative
  Scenario: The suite reports a node that lost its node-agent, although the DaemonSet is complete
    Given the standard application
    # without the fault: the node of its volume keeps its node-agent
    When the node of its volume is tainted and loses its node-agent
    Then the DaemonSet reports all desired pods as ready
    And the suite reports that node and its volumes as lacking a node-agent
    When the taint is removed
    Then the node-agent of that node is ready again

  @exclusive @disrupt @soak @negative
  Scenario: The suite reports a node that an affinity excludes, and the volumes there cannot be backed up
    Given the standard application
    # without the fault: the node of its volume keeps its node-agent
    When an affinity that keeps node-agent off the node of its volume is committed to Git
    Then the DaemonSet reports all desired pods as ready
    And the suite reports that node and its volumes as lacking a node-agent
    When the application is backed up while its node has no node-agent
    Then the backup fails because no node-agent runs on that node
