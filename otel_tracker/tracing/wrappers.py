"""Generates the wrapper of a function from its own signature: one template a kind of callable.

The wrapper opens an execution, calls on, and tells the execution how it ended. It adds one frame to a traceback.
Source text is made of parameter names only; no value of the program ever enters it.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from enum import Enum
from typing import Any, cast

from otel_tracker import switch
from otel_tracker.tracing import engine, measuring, timing, watching
from otel_tracker.tracing.execution import first_step
from otel_tracker.tracing.failures import WRAPPER_FILE, without_own_frame
from otel_tracker.tracing.parameters import Parameters, python_function
from otel_tracker.tracing.spec import SpanSpec

_CALL = """\
{define} wrapper({declaration}):
    if not {_}switch.is_on:
        return {wait}{_}call({forwarding})
    {_}run = {_}engine.open_call({_}spec, ({values}))
    if {_}run is None:
        return {wait}{_}call({forwarding})
    try:
        {_}result = {wait}{_}call({forwarding})
    except BaseException as {_}error:
        {_}run.fail({_}error)
        raise
    {end}
"""
_END = """{_}run.succeed({_}result)
    return {_}result"""
_END_LATER = """if {_}is_awaitable({_}result):
        {_}run.leave()
        return {_}run.wait_for({_}result)
    {_}run.succeed({_}result)
    return {_}result"""

_GENERATOR = """\
def wrapper({declaration}):
    {_}run = {_}engine.open_steps({_}spec, ({values})) if {_}switch.is_on else {_}engine.UNRECORDED
    if not {_}run.is_recorded:
        return (yield from {_}call({forwarding}))
    try:
        {_}body = {_}call({forwarding})
        {_}step, {_}sent = {_}body.send, None
        while True:
            {_}run.enter()
            try:
                {_}item = {_}step({_}sent)
            finally:
                {_}sent = None
            {_}run.suspend()
            try:
                {_}sent = yield {_}item
                {_}step = {_}body.send
            except BaseException as {_}error:
                {_}run.thrown({_}error)
                {_}step, {_}sent = {_}body.throw, {_}without_own_frame({_}error)
    except StopIteration as {_}stop:
        {_}run.succeed({_}stop.value)
        return {_}stop.value
    except BaseException as {_}error:
        {_}run.fail({_}error)
        raise
"""

_ASYNC_GENERATOR = """\
async def wrapper({declaration}):
    {_}run = {_}engine.open_steps({_}spec, ({values})) if {_}switch.is_on else {_}engine.UNRECORDED
    try:
        {_}body = {_}call({forwarding})
        {_}step, {_}sent = {_}first_step, {_}body
        while True:
            {_}run.enter()
            try:
                {_}item = await {_}step({_}sent)
            finally:
                {_}sent = None
            {_}run.suspend()
            try:
                {_}sent = yield {_}item
                {_}step = {_}body.asend
            except BaseException as {_}error:
                {_}run.thrown({_}error)
                {_}step, {_}sent = {_}body.athrow, {_}without_own_frame({_}error)
    except StopAsyncIteration:
        {_}run.succeed(None)
        return
    except BaseException as {_}error:
        {_}run.fail({_}error)
        raise
"""


class CallableKind(Enum):
    """What a call of a callable gives back, which decides when its span ends."""

    FUNCTION = "function"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


def kind_of(target: Callable[..., Any]) -> CallableKind:
    """The kind of a callable; a callable object counts as its ``__call__``."""
    inner: Any = target
    if not (inspect.isroutine(target) or isinstance(target, functools.partial)):
        inner = python_function(target) or target
    if inspect.isasyncgenfunction(inner):
        return CallableKind.ASYNC_GENERATOR
    if inspect.iscoroutinefunction(inner):
        return CallableKind.COROUTINE
    if inspect.isgeneratorfunction(inner):
        return CallableKind.GENERATOR
    return CallableKind.FUNCTION


def make_wrapper(
    target: Callable[..., Any], spec: SpanSpec, parameters: Parameters, *, awaits_result: bool
) -> types.FunctionType:
    """A function with the target's parameters that calls it inside a span."""
    kind = kind_of(target)
    source = _source(kind, parameters, awaits_result=awaits_result)
    names = {
        "spec": spec,
        "call": target,
        "engine": _engine_for(spec),
        "switch": measuring.ALWAYS_ON if spec.meters else switch,
        "first_step": first_step,
        "without_own_frame": without_own_frame,
        "is_awaitable": inspect.isawaitable,
    }
    namespace = {f"{parameters.prefix}{name}": value for name, value in names.items()} | parameters.defaults
    namespace["__name__"] = getattr(target, "__module__", None) or __name__
    exec(_compiled(source), namespace)  # noqa: S102 - made of parameter names only
    wrapper: types.FunctionType = cast(Any, namespace.pop("wrapper"))
    name = getattr(target, "__name__", type(target).__name__)
    wrapper.__code__ = wrapper.__code__.replace(co_name=name if isinstance(name, str) else "wrapper")
    functools.update_wrapper(wrapper, target)
    return _as_iterable_coroutine(target, wrapper)


def _engine_for(spec: SpanSpec) -> Any:
    plain: Any = watching.WatchingEngine if spec.watches else timing.Spanless if spec.is_spanless else engine
    plain = timing.TimingEngine(plain) if spec.timings else plain
    return measuring.MeasuringEngine(plain) if spec.meters else plain


def _source(kind: CallableKind, parameters: Parameters, *, awaits_result: bool) -> str:
    is_coroutine = kind is CallableKind.COROUTINE
    template = {CallableKind.GENERATOR: _GENERATOR, CallableKind.ASYNC_GENERATOR: _ASYNC_GENERATOR}.get(kind, _CALL)
    end = _END_LATER if awaits_result and not is_coroutine else _END
    return template.format(
        _=parameters.prefix,
        define="async def" if is_coroutine else "def",
        wait="await " if is_coroutine else "",
        declaration=parameters.declaration,
        forwarding=parameters.forwarding,
        values=parameters.values,
        end=end.format(_=parameters.prefix),
    )


@functools.lru_cache(maxsize=512)
def _compiled(source: str) -> types.CodeType:
    return compile(source, WRAPPER_FILE, "exec")


def _as_iterable_coroutine(target: Callable[..., Any], wrapper: types.FunctionType) -> types.FunctionType:
    """Keep a generator function awaitable that `types.coroutine` has made so."""
    function = python_function(target)
    if function is not None and function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE:
        types.coroutine(wrapper)
    return wrapper
