"""Client of Costate."""
