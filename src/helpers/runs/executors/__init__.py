"""Where the images of a run are made and scored: in processes of this machine, or in actors of Ray.

`desk` hands the work out, `worker` says what a worker is given and does, `local` and `ray` have the workers. What is
made does not depend on who makes it, nor on how many there are.
"""
