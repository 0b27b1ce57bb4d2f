"""What real kernels showed to programs, and the model beside them.

The `*.txt` files are the lines a test program printed on an emulated two-CPU
machine: Debian 6.1.192 (`vhe`, `nvhe`), and the same source rebuilt with old
behaviour brought back (`fpbug7`, `fpbug16`, `fpbug17`), with a mutation
(`fpbug8`), or as it is but with SME (`sme-`, `fixed`). One line is one run of a
guest and what the program found in its registers afterwards, or how often one
of several competing threads found them wrong. If the model says otherwise, the
model is wrong.
"""
