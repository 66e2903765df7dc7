"""TFF contexts that execute computations on connected workers, one or several."""

from __future__ import annotations

import contextlib
import functools
import math
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import tensorflow_federated as tff

from tfc.base.freed_memory import trim
from tfc.config.keys import CLIENTS_AT_A_TIME
from tfc.workers.compiler import compiled

_GRPC_MAX_BYTES = 2_000_000_000
_GRPC_OPTIONS = [
    ("grpc.max_message_length", _GRPC_MAX_BYTES),
    ("grpc.max_receive_message_length", _GRPC_MAX_BYTES),
    ("grpc.max_send_message_length", _GRPC_MAX_BYTES),
    ("grpc.enable_http_proxy", 0),  # workers are reached directly, not through the environment's HTTP proxy
]


def answers(address: str, timeout_s: float) -> bool:
    """Whether a gRPC server answers at an address, asked over a separate connection.

    The question is a call of a method that no server has, rather than `grpc.channel_ready_future`, whose polling
    thread may raise while the channel is closed.

    Args:
        address: As gRPC writes addresses, such as `host:port`.
        timeout_s: Seconds to wait.
    """
    with grpc.insecure_channel(address, [*_GRPC_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            channel.unary_unary("/tfc/AreYouThere")(b"", timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            return error.code() not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
    return True


class _UnwatchedChannel:
    """A channel whose state nobody polls: the thread with which gRPC polls may raise while the channel is closed.

    TFF asks for the state to answer `is_ready`, which is not used here.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def subscribe(self, callback: Callable[..., None], try_to_connect: bool = False) -> None:
        """Does nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def _nothing(future: Any) -> None:
    pass


class _Stub(tff.framework.RemoteExecutorGrpcStub):
    """TFF's side of a connection, on which references to values may outlive the worker that stores them."""

    def dispose(self, request: Any) -> None:
        """Tells the worker that values are no longer needed, if the worker still runs; waits for no answer.

        Python's garbage collector calls this in whichever thread it happens to run, also in the one that watches a
        worker which no longer answers.
        """
        with contextlib.suppress(ValueError, grpc.RpcError):  # the connection is closed
            # gRPC cancels a call whose future is forgotten; the callback keeps it until the worker has answered.
            self._stub.Dispose.future(request).add_done_callback(_nothing)


class _Executor(tff.framework.RemoteExecutor):
    """TFF's executor on a worker; this process gives back what it built the messages with before the worker trains."""

    async def create_call(self, comp: Any, arg: Any = None) -> Any:
        """Starts a computation on the worker."""
        trim()
        return await super().create_call(comp, arg)


class Connection:
    """A connection to one worker.

    Attributes:
        address: As gRPC writes addresses.
        stub: TFF's side of it, a `tff.framework.RemoteExecutorGrpcStub`.
        check: Raises `WorkerError` if the worker is gone.
    """

    def __init__(self, address: str, check: Callable[[], None]) -> None:
        """Connects; does not wait for an answer.

        Args:
            address: As gRPC writes addresses, such as `host:port`.
            check: Called before a computation starts, and again before a failed call is repeated.
        """
        self.address = address
        self.check = check
        self._channel = grpc.insecure_channel(address, _GRPC_OPTIONS)
        self.stub = _Stub(_UnwatchedChannel(self._channel))

    def close(self) -> None:
        """Closes the connection; pending calls fail at once."""
        self._channel.close()


@contextlib.contextmanager
def default_context(context: Any) -> Iterator[None]:
    """Makes a context TFF's default one of this thread, and restores the one before on leaving.

    Args:
        context: A `tff.framework.SyncContext`.
    """
    previous = tff.framework.get_context_stack().current
    tff.framework.set_default_context(context)
    try:
        yield
    finally:
        tff.framework.set_default_context(previous)


def execution_context(connection: Connection, compiler: Callable[[Any], Any] = compiled) -> Any:
    """Returns a TFF context that executes computations on one worker.

    Args:
        connection: The connection to it.
        compiler: Brings a computation to the form that workers execute.

    Returns:
        A `tff.framework.SyncExecutionContext`.
    """

    def executor_stack(cardinalities: dict[Any, int]) -> Any:
        # TFF repeats a call on a worker that does not answer without limit, and calls this function each time.
        connection.check()
        # By default TFF releases values on the worker only in groups of 20, which takes half of its memory with fifty
        # clients, and more than the machine has with a hundred clients that answer 13 MB each.
        executor = _Executor(connection.stub, dispose_batch_size=1)
        executor.set_cardinalities({tff.CLIENTS: 0, **cardinalities})
        return executor

    return tff.framework.SyncExecutionContext(
        executor_fn=tff.framework.ResourceManagingExecutorFactory(executor_stack),
        compiler_fn=compiler,
        transform_args=tff.tensorflow.transform_args,
        transform_result=tff.tensorflow.transform_result,
    )


def _is_clients(type_: Any) -> bool:
    return isinstance(type_, tff.FederatedType) and type_.placement is tff.CLIENTS


def _has_clients(type_: Any) -> bool:
    if isinstance(type_, tff.StructType):
        return any(_has_clients(part) for _, part in tff.structure.iter_elements(type_))
    return _is_clients(type_)


def number_of_clients(value: Any, type_: Any) -> int | None:
    """Returns the number of clients in an argument; None for an argument without values placed at clients.

    Args:
        value: The argument.
        type_: Its TFF type.
    """
    if isinstance(type_, tff.StructType):
        parts = zip(tff.structure.from_container(value), tff.structure.iter_elements(type_), strict=True)
        counts = (number_of_clients(part, part_type) for part, (_, part_type) in parts)
        return next((count for count in counts if count is not None), None)
    return len(value) if _is_clients(type_) and not type_.all_equal else None


def slice_of_clients(value: Any, type_: Any, start: int, stop: int) -> Any:
    """Returns an argument restricted to some of its clients; values not placed at clients are unchanged.

    Args:
        value: The argument.
        type_: Its TFF type.
        start: First client.
        stop: First client after these.
    """
    if isinstance(type_, tff.StructType):
        value = tff.structure.from_container(value)
        return tff.structure.Struct(
            (name, slice_of_clients(part, part_type, start, stop))
            for part, (name, part_type) in zip(value, tff.structure.iter_elements(type_), strict=True)
        )
    return value[start:stop] if _is_clients(type_) and not type_.all_equal else value


def _in_parallel(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Runs tasks in threads; the first error is raised at once, without waiting for the others."""
    done: queue.Queue[tuple[int, Any, BaseException | None]] = queue.Queue()

    def work(number: int) -> None:
        try:
            done.put((number, tasks[number](), None))
        except BaseException as error:
            done.put((number, None, error))

    for number in range(len(tasks)):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    results: list[Any] = [None] * len(tasks)
    for _ in tasks:
        number, results[number], error = done.get()
        if error is not None:
            raise error
    return results


def merged_in_order(parts: Sequence[Any], merge: Callable[[Any, Any], Any]) -> Any:
    """Merges neighbours, then the results, and so on: each part is copied once per level of this tree.

    Args:
        parts: At least one.
        merge: Merges two neighbours; need not commute.
    """
    while len(parts) > 1:
        pairs = [merge(*parts[at : at + 2]) for at in range(0, len(parts) - 1, 2)]
        parts = pairs + list(parts[2 * len(pairs) :])
    return parts[0]


class DividedContext(tff.framework.SyncContext):
    """Executes computations on workers: clients are divided among them, in batches of limited size.

    A computation is split at its aggregation (`tff.backends.native.compile_to_mergeable_comp_form`): each worker runs
    the part before the aggregation for one batch of its clients after another and accumulates their answers; these are
    merged in the order of the clients; the part after it runs on the first worker, which is also the server. TFF's own
    context for this
    (`MergeableCompExecutionContext`) merges in the order in which workers finish, and waits for a remote worker before
    it calls the next: here workers train at the same time, and the result does not depend on which finishes first. A
    single worker with few clients executes the computation unsplit.
    """

    def __init__(self, connections: Sequence[Connection], max_concurrent_clients: int = CLIENTS_AT_A_TIME) -> None:
        """Uses workers that are connected.

        Args:
            connections: At least one.
            max_concurrent_clients: Clients that a worker trains at a time; 0 for all of its share.
        """
        lock = threading.Lock()
        native = functools.lru_cache(maxsize=None)(compiled)

        def compile_once(computation: Any) -> Any:
            with lock:
                return native(computation)

        self._contexts = [execution_context(connection, compile_once) for connection in connections]
        self._split = functools.lru_cache(maxsize=None)(tff.backends.native.compile_to_mergeable_comp_form)
        self._most = max_concurrent_clients

    def invoke(self, comp: Any, arg: Any) -> Any:
        """Executes a computation.

        Args:
            comp: A `tff.Computation`; if clients have to be divided, without values placed at clients in its result,
                and with aggregations that do not depend on each other.
            arg: Its argument as TFF packs it, or None.

        Raises:
            WorkerError: If a worker is gone.
            TypeError: If clients have to be divided and the result has values placed at clients.
        """
        type_ = comp.type_signature.parameter
        server = self._contexts[0]
        clients = None if arg is None else number_of_clients(arg, type_)
        if not clients or (len(self._contexts) == 1 and clients <= (self._most or clients)):
            return server.invoke(comp, arg)
        if _has_clients(comp.type_signature.result):
            raise TypeError(
                f"values placed at clients can't be results of several workers, or of more than {self._most} clients: "
                f"{comp.type_signature}"
            )
        form = self._split(comp)
        share = math.ceil(clients / len(self._contexts))

        def accumulated(context: Any, first: int) -> Any:
            stop = min(first + share, clients)
            step = self._most or share
            spans = [(start, min(start + step, stop)) for start in range(first, stop, step)]
            parts = [context.invoke(form.up_to_merge, slice_of_clients(arg, type_, *span)) for span in spans]
            return merge(context, parts)

        def merge(context: Any, parts: Sequence[Any]) -> Any:
            return merged_in_order(
                parts, lambda left, right: context.invoke(form.merge, tff.structure.Struct.unnamed(left, right))
            )

        tasks = [
            functools.partial(accumulated, context, first)
            for context, first in zip(self._contexts, range(0, clients, share), strict=False)
        ]
        merged = merge(server, _in_parallel(tasks))
        # The merged part uses no client, but its type requires some.
        one_client = slice_of_clients(arg, type_, 0, 1)
        return server.invoke(form.after_merge, tff.structure.Struct.unnamed(one_client, merged))
