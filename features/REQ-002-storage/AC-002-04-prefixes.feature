@AC-002-04
Feature: Every key is where the design puts it

  Scenario: A backup and a restore leave exactly the keys of the layout
    Given the standard application, backed up and restored as a copy
    Then S3 holds exactly the keys of that backup, that restore and its repository
    And every object of that backup and that restore can be read

  @exclusive @disrupt @negative
  Scenario: A stray folder beside them is noticed
    Given the standard application, backed up and restored as a copy
    # without the fault: nothing
    When somebody puts an object beside the prefixes
    Then the keys are no longer those of the layout
    And Velero calls the location unavailable and names the folder
    And the location is available again once the object is gone
