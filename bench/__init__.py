"""Measurements that take minutes and assert nothing."""
