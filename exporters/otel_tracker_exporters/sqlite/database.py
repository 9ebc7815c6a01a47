"""Opens SQLite files: for writing, for reading only, and never one that is not ours.

What lies at a path is examined before anything is changed there, and each way in which it can be unusable has its
sentence. Connections come from `sqlite3.Connection` itself: the sqlite3 instrumentor wraps `sqlite3.connect`, and a
store must not trace its own statements. A file of an older version is migrated when it is opened to be written, in one
transaction; readers take it as it is. This module knows nothing of spans and events.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.private_files import make_private_folder
from otel_tracker_exporters.sqlite.reading import ReadingConnection
from otel_tracker_exporters.sqlite.schema import APPLICATION_ID, CREATE_STATEMENTS, MIGRATIONS, SCHEMA_VERSION

BUSY_TIMEOUT_S = 5.0
"""How long a statement waits for another process's transaction; with 50 ms four busy writers saw errors."""

_CACHE_KIB = 16 * 1024
_JOURNAL_LIMIT_BYTES = 64 * 1024 * 1024
_WAL_RETRY_S = 0.01
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")

# Closing any descriptor of a file drops all POSIX locks that this process has on it, SQLite's too
# (https://www.sqlite.org/howtocorrupt.html, 2.2). We open the file by ourselves only to create it,
# and never while another thread may already have SQLite on it. One lock a process: a fork may copy a held one.
_creation_locks: dict[int, threading.Lock] = {}


def open_to_write(path: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """A connection to the store at ``path``, which is created (mode 0600) when nothing is there, else migrated.

    Raises `StoreUnreadableError` for a file that is no store of ours or a newer one's, else sqlite3.Error or OSError.
    """
    if os.path.isdir(path):
        raise StoreUnreadableError(_directory_sentence(path))
    with _creation_locks.setdefault(os.getpid(), threading.Lock()):
        _create_file(Path(path))
        _refuse_unharmed(path)
        connection = sqlite3.Connection(
            _uri(path, "mode=rw"), timeout=busy_timeout_s, isolation_level=None, check_same_thread=False, uri=True
        )
    try:
        _prepare(connection, path, busy_timeout_s)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: str) -> ReadingConnection:
    """A read-only connection to what lies at ``path``; raises `StoreNotFoundError` or `StoreUnreadableError`."""
    check_file(path)
    try:
        return _connect_read_only(path)
    except sqlite3.Error as error:
        raise StoreUnreadableError(sentence_of(path, error)) from None


def has_schema(connection: sqlite3.Connection, path: str) -> bool:
    """True for a store of ours, False for an empty file that may become one.

    Raises `StoreUnreadableError` for another program's database and for a newer otel-tracker's.
    """
    application_id, version, is_blank = _header(connection)
    if application_id == APPLICATION_ID and version < 1:
        raise StoreUnreadableError(_SENTENCES["malformed"].format(path=path))
    if application_id == APPLICATION_ID and version <= SCHEMA_VERSION:
        return True
    if application_id == APPLICATION_ID:
        raise StoreUnreadableError(
            f"{path} was written by a newer otel-tracker (schema {version}, this one knows up to {SCHEMA_VERSION}); "
            "nothing was changed. Upgrade otel-tracker, or name another file."
        )
    if not is_blank:
        raise StoreUnreadableError(
            f"{path} is an SQLite database of another program; expected a file that otel-tracker made. "
            "Nothing was changed. Name another file."
        )
    return False


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The number that SQLite keeps under this name."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One writing transaction: committed, or rolled back when anything goes wrong."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def tidy_up(path: str) -> None:
    """Remove the empty ``-wal`` and ``-shm`` files that reading leaves behind, unless somebody uses the store.

    A read-only connection creates them but cannot remove them. SQLite itself removes them when the last connection
    that may write is closed, and knows whether it is the last.
    """
    with suppress(OSError, sqlite3.Error):
        if os.path.getsize(f"{path}-wal") == 0 and os.access(path, os.W_OK):
            connection = sqlite3.Connection(_uri(path, "mode=rw"), timeout=0, isolation_level=None, uri=True)
            try:
                pragma(connection, "user_version")
            finally:
                connection.close()


def sentence_of(path: str, error: Exception) -> str:
    """What is wrong with the file at ``path``, and the way out."""
    reason = str(error.strerror if isinstance(error, OSError) and error.strerror else error).rstrip(".")
    if any(part in reason for part in _OF_READ_ONLY_DISKS) and _is_on_read_only_disk(path):
        reason = "readonly"
    for part, sentence in _SENTENCES.items():
        if part in reason:
            return sentence.format(path=path)
    return f"{path} cannot be used: {reason}. See that the file and its folder are yours, or name another file."


# By text, because Python 3.10 does not tell SQLite's error codes.
_SENTENCES = {
    "not a database": "{path} is no SQLite database; expected a file that otel-tracker made. Nothing was changed. "
    "Name another file, or move this one away.",
    "malformed": "{path} is a damaged SQLite database; nothing was changed. Move it away to begin a new one, "
    "and rescue what it holds with the sqlite3 command .recover.",
    "locked": "{path} is locked by another program. Close what holds it, or name another file.",
    "readonly": "{path} is read-only. Make the file and its folder writable, or set OTEL_TRACKER_SQLITE_PATH to "
    "another file.",
    "is full": "The disk that holds {path} is full. Make room, or set OTEL_TRACKER_SQLITE_PATH to another disk.",
    "unable to open": "{path} cannot be opened. See that the file and its folder may be read and written by you, "
    "or name another file.",
    "decode to UTF-8": "{path} holds text that is no UTF-8, which otel-tracker did not write. Remove it, or name "
    "another file.",
    "closed database": "The reader of {path} is closed. Open the store again.",
    "interrupted": "The reader of {path} is closed. Open the store again.",
}


# What SQLite calls it depends on which of its files it comes to first.
_OF_READ_ONLY_DISKS = ("disk I/O error", "unable to open")


def _is_on_read_only_disk(path: str) -> bool:
    """Whether the disk takes nothing at all; a broken one does not always say so, only trying tells."""
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(path)):
            return False
    except OSError as error:
        return error.errno == errno.EROFS


def _header(connection: sqlite3.Connection) -> tuple[int, int, bool]:
    """Application id, version, and whether nothing at all is there; of one moment, for another process may be at it."""
    is_own_transaction = not connection.in_transaction
    if is_own_transaction:
        connection.execute("BEGIN")
    try:
        application_id, version = pragma(connection, "application_id"), pragma(connection, "user_version")
        is_blank = not (application_id or version or _has_tables(connection))
    finally:
        if is_own_transaction and connection.in_transaction:
            connection.execute("ROLLBACK")
    return application_id, version, is_blank


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _create_file(path: Path) -> None:
    make_private_folder(path.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _uri(path: str, parameters: str) -> str:
    return f"{Path(path).as_uri()}?{parameters}"


def _refuse_unharmed(path: str) -> None:
    """Look at a file that somebody else may have made with a connection that cannot change a byte of it.

    A connection that may write merges what it finds in the log when it is closed, even if it has only looked.
    """
    if not os.path.getsize(path):
        return
    try:
        with closing(_checked(path, "mode=ro")) as connection:
            has_schema(connection, path)
    except StoreUnreadableError:
        tidy_up(path)
        raise
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise  # it has been waited for once
        # Where reading alone cannot tell, the connection that writes will.


def _prepare(connection: sqlite3.Connection, path: str, busy_timeout_s: float) -> None:
    is_ours = has_schema(connection, path)
    if not is_ours:
        # Lets space be given back in small steps; it has an effect only before anything is in the file.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _use_wal(connection, busy_timeout_s)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT_BYTES}")
    if not is_ours or pragma(connection, "user_version") < SCHEMA_VERSION:
        with transaction(connection):
            _bring_up(connection, path)


def _bring_up(connection: sqlite3.Connection, path: str) -> None:
    """Create or migrate the tables, unless another process was faster."""
    if not has_schema(connection, path):
        for statement in CREATE_STATEMENTS:
            connection.execute(statement)
        return
    for version in range(pragma(connection, "user_version"), SCHEMA_VERSION):
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version + 1}")


def _use_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Switch to write-ahead logging; SQLite does not always wait here, when several processes begin together."""
    deadline_s = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
        time.sleep(_WAL_RETRY_S)


def check_file(path: str) -> None:
    """A missing file is said here, because SQLite does not tell it from one that may not be opened."""
    if os.path.isdir(path):
        raise StoreUnreadableError(_directory_sentence(path))
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        raise StoreNotFoundError(
            f"There is no store at {path}. Run your program first, or name another place."
        ) from None
    except (OSError, ValueError) as error:
        raise StoreUnreadableError(sentence_of(path, error)) from None
    if not is_file:  # to open a pipe waits for its other end
        raise StoreUnreadableError(f"{path} is no regular file; expected an SQLite file. Name a file.")


def _connect_read_only(path: str) -> ReadingConnection:
    try:
        return _checked(path, "mode=ro")
    except sqlite3.OperationalError:
        if _was_left_unbegun(path):
            _undo_beginning(path)
            return _checked(path, "mode=ro")
        if not _lies_still(path):
            raise
    return _checked(path, "mode=ro&immutable=1")


def _was_left_unbegun(path: str) -> bool:
    """Whether a process was killed in a file's very first transaction, before which nothing was in it.

    SQLite undoes that from the rollback journal, for which it has to write. At offset 16 stands how many pages the file
    had (https://www.sqlite.org/fileformat.html, 3): with none, nothing there can be lost, whosever file it is.
    """
    with suppress(OSError), open(f"{path}-journal", "rb") as journal:
        header = journal.read(20)
        return len(header) == 20 and header.startswith(_JOURNAL_MAGIC) and not any(header[16:])
    return False


def _undo_beginning(path: str) -> None:
    """Let SQLite itself, which knows whether somebody is still at it, take the unfinished transaction back."""
    with closing(_checked(path, "mode=rw")):
        pass


def _lies_still(path: str) -> bool:
    """Whether nobody can be writing: read-only media, where SQLite cannot make the files that it reads a WAL with.

    With a WAL that still holds something the file alone would be an old state, and is not read as if it were all.
    """
    wal = Path(f"{path}-wal")
    with suppress(OSError):
        return not os.access(os.path.dirname(path), os.W_OK) and not (wal.exists() and wal.stat().st_size)
    return False


def _checked(path: str, parameters: str) -> ReadingConnection:
    connection = ReadingConnection(
        _uri(path, parameters), timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=True
    )
    try:
        pragma(connection, "user_version")  # the file is opened by the first statement only
    except BaseException:
        connection.close()
        raise
    return connection


def _directory_sentence(path: str) -> str:
    return f"{path} is a directory; expected an SQLite file. Name a file inside it."
