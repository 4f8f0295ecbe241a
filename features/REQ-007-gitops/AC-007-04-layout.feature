@AC-007-04
Feature: What Flux deploys has the layout of the design

  A folder can look complete and deploy nothing: a file that no kustomization names is never applied, and a Schedule
  before its CRD keeps the whole folder from being applied. So the suite follows the paths as Flux does, and builds
  every folder.

  Scenario: Layout, order and schedule match the design
    Given a copy of the commit that Flux has applied
    Then every path of the layout exists, and a kustomization names every file
    And every folder builds
    And there is one schedule, and it waits for the release that brings its CRD
    And Velero's namespace has one schedule, apart from those of the suite

  @negative
  Scenario Outline: The suite reports <finding> when <fault>
    Given a copy of the commit that Flux has applied
    # without the fault: nothing
    When in that copy <fault>
    Then the suite reports <finding>

    Examples:
      | fault                                        | finding                      |
      | the schedule is in the folder of the release | a wrong order                |
      | the release has a schedule in its values     | a second schedule            |
      | a file that is named is missing              | a missing path               |
      | a file exists that nothing names             | a file that nothing names    |
      | an object is named twice                     | a folder that does not build |
      | the schedule waits for nothing               | a wrong order                |
