@AC-007-04
Feature: What Flux deploys has the layout of the design

  A folder can look complete and deploy nothing: a file that no kustomization names is never
  applied, and a Schedule before its definition keeps the whole folder from being applied. So
  paths are followed as Flux follows them, and every folder is built.

  Scenario: Layout, order and schedule are those of the design
    Given a copy of the commit that Flux has applied
    Then every path of the layout is there, and every file is named
    And every folder builds
    And there is one schedule, and it waits for the release that brings its definition
    And Velero's namespace has one schedule beside the suite's own

  @negative
  Scenario Outline: A fault in the layout is noticed
    Given a copy of the commit that Flux has applied
    # without the fault: nothing
    When in that copy "<fault>"
    Then <finding> is no longer as designed

    Examples:
      | fault                                    | finding       |
      | the schedule stands beside the release   | order_faults  |
      | the release has a schedule in its values | schedules     |
      | a file that is named is gone             | paths_missing |
      | a file is there that nothing names       | orphan_files  |
      | an object is named twice                 | builds_failed |
      | the schedule waits for nothing           | order_faults  |
