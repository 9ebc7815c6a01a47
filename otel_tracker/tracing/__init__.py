"""Spans for functions and blocks: the half of the package that says what happened, in OTel API terms only.

``decorator`` checks the options of `traced`, ``parameters`` and ``wrappers`` generate one wrapper a function from
its own signature, ``engine`` opens the span of a call, ``execution`` carries it to its end, ``failures`` decides
what an exception means, ``blocks`` is `span`, ``switch`` turns all of it off.
"""
