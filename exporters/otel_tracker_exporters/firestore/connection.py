"""The one place that touches Google's client: made with the first request, for the process that makes it.

Writes go to the client's own generated API with ``retry=None`` and a timeout, past its facilities for batches: those
lose documents at the end of a process and behind a server that is down (``BulkWriter``), are all or nothing
(``WriteBatch``), or wait for up to a minute where a request is refused (the default retry). What is private of the
client (``_firestore_api``, ``_database_string``, ``_rpc_metadata``) is named here alone.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.options import Options, require_client
from otel_tracker_exporters.firestore.quiescing import request_under_way

REQUEST_TIMEOUT_S = 10.0

# The channel of a parent: its child may neither use nor close it.
_inherited: list[Any] = []


class ClosedError(Exception):
    """The connection has been closed."""


class Connection:
    """One client for one place; its methods may be called from any thread.

    They raise what Google's client raises (`google.api_core.exceptions`, `google.auth.exceptions`), `ClosedError`
    after `close`, `MissingExtraError` where the client is not installed.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._pid = os.getpid()
        self._client: Any = None
        self._is_closed = False

    def client(self) -> Any:
        """This process's ``google.cloud.firestore.Client``."""
        if self._pid != os.getpid():
            self._start_anew()
        with self._making:  # which may take many seconds: looking for credentials asks servers; `close` waits for none
            if self._is_closed:
                raise ClosedError
            client = self._client
            return self._made() if client is None else client

    def _made(self) -> Any:
        with request_under_way(imports=True):
            client = _new_client(self.options)
            _ = getattr(client, "_firestore_api", None)  # made on first use otherwise, which may be after `close`
        with self._lock:
            if not self._is_closed:
                self._client = client
                return client
        _close(client)
        raise ClosedError

    def document_root(self) -> str:
        """What the name of every document begins with."""
        return f"{self.client()._database_string}/documents"

    def batch_write(self, writes: list[bytes], timeout_s: float = REQUEST_TIMEOUT_S) -> list[Any]:
        """Write documents, each by itself, from the bytes of ``Write`` messages; gives a ``google.rpc.Status`` each."""
        from google.cloud.firestore_v1.types import BatchWriteRequest

        client = self.client()
        request = BatchWriteRequest.pb(BatchWriteRequest())
        request.ParseFromString(wire.request(client._database_string, writes))
        with request_under_way():
            answer = client._firestore_api.batch_write(
                request=BatchWriteRequest.wrap(request), metadata=client._rpc_metadata, retry=None, timeout=timeout_s
            )
        return list(type(answer).pb(answer).status)

    def close(self) -> None:
        """End requests that wait, and let none begin. Waits for nothing."""
        if self._pid != os.getpid():
            self._start_anew()
        with self._lock:
            self._is_closed = True
            client, self._client = self._client, None
        if client is not None:
            _close(client)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def _start_anew(self) -> None:
        """Be a forked child's."""
        if self._client is not None:
            _inherited.append(self._client)
        self._pid, self._client, self._lock = os.getpid(), None, threading.Lock()
        self._making = threading.Lock()


def _close(client: Any) -> None:
    """Close a client and its channel, which its own ``close`` leaves open, with the requests that wait in it."""
    api = getattr(client, "_firestore_api_internal", None)
    if api is not None:
        api.transport.close()
    client.close()


def _new_client(options: Options) -> Any:
    require_client()
    from google.cloud import firestore
    from google.cloud.firestore_v1.types import BatchWriteRequest as _  # noqa: F401 - whatever is imported later, is imported now

    if options.database == "(default)":  # releases before 2.12 know no databases
        return firestore.Client(project=options.project)
    return firestore.Client(project=options.project, database=options.database)
