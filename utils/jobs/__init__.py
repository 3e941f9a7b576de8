"""Jobs on this machine or a cluster, with the interface of Kaldi's run.pl: see utils/run.py."""
