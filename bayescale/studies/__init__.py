"""Questions to several posteriors: which law, which approach, which group, whether intervals hold."""
