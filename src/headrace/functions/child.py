"""Where a process that calls a function begins; run as a file, never imported.

It sets right what the interpreter's start set up, before anything else is imported: a worker's
`__main__` and its working directory have no part in it.
"""

import json
import os
import sys

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.path[:] = given.pop("path")
    # What the user's code prints must not get between the frames, nor can it read them.
    orders, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)

    from headrace.functions.serving import serve

    serve(os.fdopen(orders, "rb"), os.fdopen(answers, "wb"), **given)
