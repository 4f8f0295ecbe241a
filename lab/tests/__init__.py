"""Tests of the lab itself, on a second lab beside the main one. They need root and a warm cache."""
