"""Long runs that try to break Phenix; the tests hold a seeded short share of each."""
