"""Making drafters for a target: its own text recorded once, and what is built or trained from that.

record(RecordSettings(...)) -> Recording
"""
