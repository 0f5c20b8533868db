"""The settings: what luigi.cfg and the environment say, checked, and what of it nobody may see."""
