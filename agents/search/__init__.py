"""A policy's start made faster: a search for better first decisions, and a policy that takes them by itself.

Every episode of a task begins at rest in the same pose with the same target, which the challenge first changes after
some three seconds. So what is best in the first of them is one question with one answer, and no matter of learning:

    policy → offsets to its first decisions (search) → a policy that needs no offsets (distil) → scores before and after
"""
