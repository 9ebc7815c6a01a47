"""Wrong uses of the public names: each line marked `# error` must be reported by mypy and by pyright, no other."""

# pyright: strict

from otel_tracker import configure, open_store, span, traced, track


@traced
def total(x: int, *, tax: int = 0) -> int:
    return x + tax


@traced("fetch")
async def fetch(url: str) -> str:
    return url


@traced
class Cart:
    def add(self, item: str) -> None: ...


@span("block")
def block(x: int) -> str:
    return str(x)


total("x")  # error
total()  # error
total(1, 2)  # error
total(1, tx=3)  # error
text: str = total(1)  # error
Cart().add(1)  # error
Cart().remove("x")  # error
block("x")  # error
number: int = block(1)  # error
traced(42)  # error
traced(nme="x")  # error
traced(kind=3)  # error
traced(capture_args=1.5)  # error
traced(capture_result="yes")  # error
traced(ignore=("ValueError",))  # error
traced(new_trace="yes")  # error
span()  # error
span(42)  # error
track()  # error
track(42)  # error
track(event_name="x")  # error
configure(42)  # error
open_store()  # error


async def use() -> None:
    await fetch(1)  # error
    fetched: bytes = await fetch("u")  # error
    print(fetched)
