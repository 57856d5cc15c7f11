"""`amends demo`: two weeks of a brand's customer care, played on a virtual clock with the real flow."""
