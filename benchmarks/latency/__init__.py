"""Latency: from the moment a rating should have been sent to us until its agent has been told, at several rates."""
