"""Tests of the suite itself; they need no cluster. Every checker has one in which it goes red."""
