"""The engine: what runs, in which order, on whose memory."""
