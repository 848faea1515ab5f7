"""Stages on an Apache Flink cluster."""
