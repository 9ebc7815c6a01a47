"""Says what is active, what is not and why, and proves it with a span that it reads back.

``findings`` holds what a check has to say, ``installed`` looks at entry points, ``stored`` at settings, destinations
and the store, ``delivered`` at journals and what processes have left about them, ``probe`` starts a program under the
launcher and looks for its span.
"""
