"""HTTP requests of Flask, FastAPI and Django through the hooks of upstream's instrumentors.

Each framework's module has one public function, `instrument`, and says the same in the framework's words: `carriers`
reads what came in, `serving` says it of the request, `responses` gives the id back, `streams` keeps a body that is
sent later in its trace. The launcher does without a call what `instrument` does in code.
"""
