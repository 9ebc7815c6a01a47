"""A client for the terminal: ``python -m fastapi_chat.client ROOM --name NAME [TEXT ...]``.

Says the texts, prints what everybody says until its own last one has come back, and leaves. Without a text it says what
is typed, line by line, until the input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from websockets.asyncio.client import ClientConnection, connect


async def main() -> None:
    """Join the room that the command line names."""
    parser = argparse.ArgumentParser(prog="fastapi_chat.client", description="Chat in a terminal.")
    parser.add_argument("room")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_intermixed_args()

    url = f"ws://127.0.0.1:{options.port}/rooms/{options.room}/ws?name={options.name}"
    async with connect(url, proxy=None) as connection:
        if options.texts:
            await say(connection, options.name, options.texts)
        else:
            await talk(connection)


async def say(connection: ClientConnection, name: str, texts: list[str]) -> None:
    """Say each text, and print everything until it comes back."""
    for text in texts:
        await connection.send(text)
        while True:
            message = json.loads(await connection.recv())
            show(message)
            if (message.get("author"), message.get("text")) == (name, text) or "error" in message:
                break


async def talk(connection: ClientConnection) -> None:
    """Say what is typed while everything that is said is printed."""
    printing = asyncio.create_task(show_all(connection))
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            await connection.send(line.rstrip("\n"))
    finally:
        printing.cancel()


async def show_all(connection: ClientConnection) -> None:
    """Print what is said until the connection ends."""
    async for message in connection:
        show(json.loads(message))


def show(message: dict[str, str]) -> None:
    """Print one message."""
    print(f"{message.get('author', 'chat')}: {message.get('text') or message.get('error')}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
