"""stablint's own rules, one file each; the folders are the catalogue of what can go wrong."""
