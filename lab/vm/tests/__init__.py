"""Tests in virtual machines: `make vm-test`."""
