"""The way of ended spans, or of events, to one exporter: put in by any thread, handed over by a thread of its own.

That thread starts with the first item, so that a process which has nothing to trace starts nothing, and again with
the first item after a fork. Every wait has a deadline, whatever the exporter does: `flush` and `shutdown` wait for the
thread and never call `export` themselves, unless no thread can be started.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry.context import Context, attach, detach

from otel_tracker.delivery import forking, lanes
from otel_tracker.delivery.asking import Ask, Asks
from otel_tracker.delivery.backlog import Backlog
from otel_tracker.delivery.counts import Counts, DestinationReport
from otel_tracker.delivery.sending import Sender
from otel_tracker.delivery.unsignalled import leave_signals_to_others
from otel_tracker.delivery.untraced import untraced
from otel_tracker.diagnostics import logger, report_internal_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_tracker.delivery.codec import Codec
    from otel_tracker.delivery.journal import Journal
    from otel_tracker.delivery.limits import Limits

Item = TypeVar("Item")

AFTER_SHUTDOWN = "after_shutdown"

# What is kept of the exit's time for an exporter that does not answer: first it is asked to close, which ends the
# waiting of most, then what is left goes on disk.
_LAST_SHARE = 0.2
# While a burst lasts, the thread leaves the interpreter to the program between batches; the rest lies safe on disk.
_BURST_REST_S = 0.03
_PARK_WAIT_S = 0.2
_THREAD_REST_S = 1.0
_getpid = os.getpid


class Lane(Generic[Item]):
    """Delivers items to ``exporter``; its methods may be called from any thread and never raise.

    An exporter may say ``may_repeat = False``: it must not get anything twice, not even when nobody knows whether it
    got it once.
    """

    def __init__(
        self, exporter: Any, codec: Codec[Item], *, signal: str, destination: str, limits: Limits, journal: Journal
    ) -> None:
        self.exporter = exporter
        self.signal = signal
        self.destination = destination
        self._limits = limits
        self._journal = journal
        self._codec = codec
        self._is_closed = self._is_exporter_closed = False
        self._start_empty()
        lanes.add(self)
        if journal.has_left_behind():
            self._begin()

    def _start_empty(self) -> None:
        may_repeat = bool(getattr(self.exporter, "may_repeat", True))
        self._counts = Counts()
        self._backlog: Backlog[Item] = Backlog(
            self._codec, self._journal, self._counts, self._limits, may_repeat=may_repeat
        )
        self._queue = self._backlog.queue
        self._is_hurried = self._is_ending = self._is_pausing = self._has_ended = self._is_claiming = False
        self._sender = Sender(self.exporter, self._backlog, self._counts, self.destination, lambda: self._is_hurried)
        self._created = itertools.count()
        self._count = self._created.__next__
        self._notice_at = 0 if self._is_closed else self._limits.max_batch_size
        self._thread: threading.Thread | None = None
        self._pid = 0  # of the process whose thread runs, 0 for none
        self._told_pid = 0
        self._begin_again_s = 0.0
        self._asks = Asks()
        self._sending = threading.Lock()

    def put(self, item: Item) -> None:
        """Take an item in: one append; at the bound of memory a write to the journal. Waits for nothing."""
        self._count()
        queue = self._queue
        queue.append(item)
        if self._pid != _getpid() or len(queue) >= self._notice_at:
            self._notice()

    def flush(self, timeout_s: float) -> bool:
        """Deliver what waits; False when that failed or took longer than ``timeout_s`` seconds."""
        deadline_s = time.monotonic() + timeout_s
        if self._is_idle() or self._has_ended:
            return self._is_idle()
        if not forking.wait_for_others(deadline_s):
            return False
        if not self._begin():
            return self._deliver_here(timeout_s)
        if self._thread is threading.current_thread():  # an exporter that flushes its own lane
            return False
        with self._told:
            ask = self._ask()
            self._wait(lambda: ask.answer is not None or self._is_idle(), deadline_s)
        return self._is_idle() if ask.answer is None else ask.answer

    def hurry(self) -> None:
        """Begin to deliver what waits."""
        if self._pid == _getpid():
            with self._told:
                self._ask()

    def shutdown(self, end_by_s: float) -> None:
        """Deliver what waits and close the exporter, by ``end_by_s`` of `time.monotonic`; the rest goes on disk."""
        if self._is_closed:
            return
        self._is_closed, self._notice_at = True, 0
        forking.wait_for_others(end_by_s)
        if self._pid == _getpid() or (not self._backlog.is_empty and self._begin()):
            self._end_thread(end_by_s)
        else:  # nothing was ever put in, or no thread can be started
            self._deliver_here(max(0.0, end_by_s - time.monotonic()))
            self._close_exporter()
        self._backlog.park()
        if self._backlog.in_journal:
            self._sender.say_left()
        self._backlog.close()
        lanes.remove(self)

    def park(self) -> None:
        """Put on disk what waits in memory: the process is about to be killed.

        The exporter gets nothing more, so that nothing is both sent and left on disk; what it has in hand it may
        still finish, for a moment.
        """
        self._is_hurried = True
        is_idle = self._sending.acquire(timeout=_PARK_WAIT_S)
        self._backlog.park()
        if is_idle:
            self._sending.release()

    def go_on(self) -> None:
        """Deliver again: the process was not killed."""
        self._is_hurried = self._is_closed
        self.hurry()

    def begin_pause(self) -> None:
        """Ask the thread to end after what it has in hand; `pause` waits for that."""
        if self._thread_of_others() is not None:
            with self._told:
                self._is_pausing = True
                self._wake.set()

    def pause(self, end_by_s: float) -> None:
        """Let the thread have ended, if it can until then: a fork is safest, and silent, without it."""
        thread = self._thread_of_others()
        if thread is None:
            self._is_pausing = False
            return
        if hasattr(self.exporter, "schedule_delay_ms"):  # which exporters of local stores have
            end_by_s += lanes.LOCAL_FORK_WAIT_S - lanes.FORK_WAIT_S
        with self._told:
            self._is_pausing = True
            self._wake.set()
            self._wait(lambda: self._thread is not thread, end_by_s)
            self._is_pausing = False
        if self._thread is not thread:
            thread.join(lanes.FORK_WAIT_S)
            _wait_for_its_end(thread)

    def _thread_of_others(self) -> threading.Thread | None:
        """The thread of this process that delivers, unless it is the one that runs."""
        with self._backlog.lock:  # one that is just being started is there, or will see that a fork is under way
            thread = self._thread
            is_ours = self._pid == _getpid() and thread is not threading.current_thread()
            return thread if is_ours else None

    def resume(self) -> None:
        """Go on after a fork, when there is something to deliver."""
        if not (self._is_closed or self._backlog.is_surely_empty):
            self._begin()

    def start_anew(self) -> None:
        """In a forked child: the thread is the parent's, and so is all that waits."""
        self._backlog.forget()
        self._start_empty()

    def report(self) -> DestinationReport:
        """What has become of everything that was put in."""
        counts, backlog = self._counts, self._backlog
        with backlog.lock:
            return DestinationReport(
                destination=self.destination,
                signal=self.signal,
                created=self._number_created(),
                exported=counts.exported,
                queued=backlog.queued,
                in_journal=backlog.in_journal,
                dropped=dict(counts.dropped),
                unknown=counts.unknown,
                recovered=counts.recovered,
                spilled=counts.spilled,
            )

    def _notice(self) -> None:
        """What `put` leaves to do: a closed lane, the first item of a process, a batch or a queue that is full."""
        try:
            if self._is_closed:
                self._drop_late()
                return
            if self._pid != _getpid():
                self._begin_in_this_process()
            if len(self._queue) >= self._limits.max_queue_size:
                self._backlog.spill()
            elif len(self._queue) >= self._notice_at and self._pid:
                self._notice_at = self._limits.max_queue_size  # the thread knows; what follows need not tell it again
                self._wake.set()
            if self._is_closed:  # meanwhile
                self._notice_at = 0
        except Exception as error:  # the observed program stands above
            report_internal_error("taking in telemetry", error)

    def _drop_late(self) -> None:
        """Drop the newest item: those before it ended in time, and somebody may still be delivering them."""
        with self._backlog.lock:
            if self._queue:
                self._queue.pop()
                self._counts.drop(AFTER_SHUTDOWN)

    def _begin_in_this_process(self) -> None:
        if self._pid:  # forked without the interpreter's knowledge (uWSGI): only the newest item is ours
            item = self._queue.pop()
            self.start_anew()
            self._count()
            self._queue.append(item)
        self._begin()

    def _begin(self) -> bool:
        """Start the thread, unless it runs; False when none can be started, or may while a fork is under way."""
        with self._backlog.lock:
            if self._pid == _getpid():
                return True
            if forking.is_under_way() or time.monotonic() < self._begin_again_s:
                return False
            if self._told_pid != _getpid():  # made here and not earlier: gevent may have exchanged these classes since
                self._wake, self._told, self._told_pid = threading.Event(), threading.Condition(), _getpid()
            thread = threading.Thread(target=self._run, name=f"otel-tracker-{self.signal}", daemon=True)
            self._thread, self._pid, self._is_claiming = thread, _getpid(), True
            token = attach(Context())  # whose request this is does not concern the thread
            try:
                thread.start()
            except (RuntimeError, MemoryError):  # no more threads, or the interpreter is about to end
                self._thread, self._pid, self._is_claiming = None, 0, False
                self._begin_again_s = time.monotonic() + _THREAD_REST_S
                return False
            finally:
                detach(token)
            return True

    def _run(self) -> None:
        leave_signals_to_others()
        with untraced():
            try:
                if not self._is_wanted():
                    return
                self._backlog.claim()
                self._is_claiming = False
                self._serve()
            except Exception as error:
                report_internal_error("delivering telemetry", error)
            finally:
                self._leave()

    def _is_wanted(self) -> bool:
        """False in a thread whose start has failed after it had begun: another may deliver by now."""
        with self._backlog.lock:
            return self._thread is threading.current_thread()

    def _serve(self) -> None:
        while True:
            self._wake.wait(self._rest_s())
            self._wake.clear()
            self._notice_at = 0 if self._is_closed else self._limits.max_batch_size
            is_last = self._is_ending or self._is_pausing
            if self._is_ending or self._asks or self._sender.may_try():
                self._work()
            if is_last and self._may_leave():
                return

    def _rest_s(self) -> float:
        if self._sender.again_s:
            return max(0.0, self._sender.again_s - time.monotonic())
        return 0.0 if self._backlog.is_crowded and not self._is_hurried else self._limits.delay_s

    def _work(self) -> None:
        is_done = self._deliver()
        if self._asks and (self._backlog.is_empty or not is_done):
            with self._told:
                self._asks.answer(is_done)
                self._told.notify_all()
        lanes.leave_report_now_and_then()

    def _may_leave(self) -> bool:
        """End the thread, unless it is needed again; under the lock, so that whoever waits knows which."""
        if self._is_ending:
            self._close_exporter()
        with self._told:
            if self._is_ending or self._is_pausing:
                self._has_ended = self._is_ending
                self._leave()
                return True
            return False

    def _leave(self) -> None:
        with self._told:
            if self._thread is threading.current_thread():
                self._thread, self._pid, self._is_claiming = None, 0, False
            self._told.notify_all()

    def _is_idle(self) -> bool:
        """Whether nothing waits, as far as is known: a thread that has just begun has yet to look at the disk."""
        return self._backlog.is_empty and not self._is_claiming

    def _deliver(self, *, is_all: bool = False) -> bool:
        """Deliver what waits: a batch, and more while there is enough or somebody waits; False when some is refused."""
        try:
            while not self._is_hurried:
                with self._sending:
                    if self._is_hurried:
                        break
                    is_taken = self._sender.send()
                if not is_taken:
                    return is_taken is None
                self._answer_settled()
                if self._is_pausing and not self._is_ending:  # the rest is delivered after the fork
                    return True
                if is_all or self._asks or self._is_ending:
                    continue
                if not self._backlog.is_crowded:
                    return True
                if self._backlog.is_spilling:
                    time.sleep(_BURST_REST_S)
        except Exception as error:
            report_internal_error("delivering telemetry", error)
        return False

    def _answer_settled(self) -> None:
        if self._asks and not self._backlog.holds_others:
            with self._told:
                if self._asks.settled(self._number_created() - len(self._backlog)):
                    self._told.notify_all()

    def _number_created(self) -> int:
        return int(repr(self._created)[len("count(") : -1])  # to copy it, which could be asked, is deprecated

    def _deliver_here(self, timeout_s: float) -> bool:
        """Deliver on the calling thread, where no other can be started; waits so long for one that is sending."""
        if not self._sending.acquire(timeout=timeout_s):
            return False
        self._sending.release()
        with untraced():
            return self._deliver(is_all=True)

    def _end_thread(self, end_by_s: float) -> None:
        last_s = max(0.0, end_by_s - time.monotonic()) * _LAST_SHARE
        with self._told:
            self._is_ending = True
            self._wake.set()
            if self._wait(lambda: self._thread is None, end_by_s - last_s):
                return
            self._is_hurried = True
            if self._wait(lambda: self._thread is None, end_by_s - last_s / 2):
                return
        self._close_elsewhere()
        with self._told:
            self._wait(lambda: self._thread is None, end_by_s)

    def _close_elsewhere(self) -> None:
        """Ask the exporter to close while its thread waits inside it."""
        try:
            threading.Thread(target=self._close_exporter, name="otel-tracker-close", daemon=True).start()
        except (RuntimeError, MemoryError) as error:  # Python 3.12 starts no thread at its end; what is left is on disk
            logger.debug("an exporter that hangs cannot be asked to close: %s", error)

    def _close_exporter(self) -> None:
        if self._is_exporter_closed:
            return
        self._is_exporter_closed = True
        try:
            self.exporter.shutdown()
        except Exception as error:  # an exporter of anybody's
            report_internal_error("closing an exporter", error)

    def _ask(self) -> Ask:
        self._wake.set()
        return self._asks.add(self._number_created())

    def _wait(self, is_so: Callable[[], bool], deadline_s: float) -> bool:
        """Wait, under the lock, until something is so; False when it is not in time."""
        while not is_so():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            self._told.wait(left_s)
        return True


def _wait_for_its_end(thread: threading.Thread) -> None:
    """Wait for the system's thread, which outlives the interpreter's a little until 3.12, whose `fork` counts those."""
    task, end_by_s = f"/proc/self/task/{thread.native_id}", time.monotonic() + lanes.FORK_WAIT_S
    while os.path.exists(task) and time.monotonic() < end_by_s:
        time.sleep(0)
