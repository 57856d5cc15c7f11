"""Amends beside its peers and the floor: the same complaints, through the same eight steps, to the same vendor."""
