"""Confirms that events arrived: reads the publish check, finds lost events, detects a recreated broker."""
