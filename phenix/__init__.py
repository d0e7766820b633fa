"""Phenix: the US options tape as tagged rows that people query, watch and are alerted on."""

__version__ = "0.1.0"
