"""Kinds of faults for `tools/faults.py`: a module of this folder for each family, found by being here.

A kind is a function under `base.fault`, which says what is done, at which stages, by which programs, and what has to be there
(a scheduler, root): ``available`` gives the reason why a kind cannot be done here. The function disturbs a `base.Scene` and
returns the runs that the fault met (`base.Met`); `base.judge` tells what became of it. Kinds of a scheduler (a job that is killed,
cancelled, queued again, a node that goes down) start runs with ``scene.environment`` naming their configuration of jobs, and
``scene.left_elsewhere`` tells what is left in its queue.
"""
