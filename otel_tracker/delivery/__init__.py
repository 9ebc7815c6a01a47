"""What keeps spans and events from the moment they end until a destination has them.

One `Lane` stands in front of each exporter. What ends goes into its memory, which is bounded (`backlog`); beyond the
bound the oldest goes on into a journal on disk (`journal`, `segment`, in the words of `codec`). A thread hands all of
it to the exporter, in order, and again when that fails (`sending`, `lane`). At the end of the process the lane keeps a
deadline, and what could not be delivered stays in the journal, from where the next process takes it (`folders`).
Everything that was ever put in is counted (`counts`, `report`).

Nothing here knows what an exporter does. Only `codec` knows what a span is.
"""
