"""What the models say: one class per model, pure of any server.

A head is built from the folder of its model, which holds its weights, and answers a batch:
`head(*columns)` takes one list per input, a row per page (or chart), and returns one list per
output with as many rows. Train scripts and the MLServer runtime call the same heads.
"""
