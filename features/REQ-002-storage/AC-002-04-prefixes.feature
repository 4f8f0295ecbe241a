@AC-002-04
Feature: Every key in the bucket is where the design puts it

  Scenario: A backup and a restore leave exactly the keys of the layout
    When the standard application is backed up and restored into another namespace
    Then S3 holds exactly the keys of that backup, that restore and their repository
    And every object of that backup and that restore can be read

  @exclusive @disrupt @negative
  Scenario: The suite and Velero report a stray folder
    Given the standard application, backed up and restored into another namespace
    # without the fault: nothing
    When an object is stored in a folder that the layout does not have
    Then the suite reports the key as unexpected
    And Velero reports the location as Unavailable and names the folder
    When the object is deleted
    Then the location becomes Available again
