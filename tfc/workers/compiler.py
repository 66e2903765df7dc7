"""Brings TFF computations to the form that workers execute, with the graph optimisations that pay.

TFF's own compiler runs TensorFlow's graph optimiser twice over every graph, with constant folding, before a worker sees
it: most of the time that compiling takes. Once, without it, leaves graphs as fast and as small.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_federated as tff

from tfc.base.freed_memory import give_back

_CHOSEN = ("function_optimization", "arithmetic_optimization", "loop_optimization")
"""Inlining is what makes workers' graphs small; common subexpressions are found by the arithmetic pass."""
_LEFT_OUT = (
    "constant_folding",
    "layout_optimizer",
    "shape_optimization",
    "pin_to_host_optimization",
    "implementation_selector",
    "scoped_allocator_optimization",
)


def graph_optimizations() -> tf.compat.v1.ConfigProto:
    """Returns which passes of TensorFlow's graph optimiser run, once each."""
    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    for name in _CHOSEN:
        setattr(options, name, options.AGGRESSIVE)
    for name in _LEFT_OUT:
        setattr(options, name, options.OFF)
    options.memory_optimization = options.NO_MEM_OPT
    options.meta_optimizer_iterations = options.ONE
    return config


def compiled(computation: tff.Computation) -> tff.Computation:
    """Compiles a computation for TFF's workers; its result is the same but for float rounding.

    Args:
        computation: Any computation that TFF's native backend executes.

    Examples:
        >>> import tensorflow_federated as tff
        >>> doubled = tff.tensorflow.computation(lambda x: 2 * x, tff.TensorType("int32"))
        >>> str(compiled(doubled).type_signature)
        '(int32 -> int32)'
    """
    blocks, _ = tff.tensorflow.replace_intrinsics_with_bodies(computation.to_building_block())
    desugared = tff.framework.ConcreteComputation(
        computation_proto=blocks.proto, context_stack=tff.framework.get_context_stack()
    )
    native = tff.backends.native.transform_to_native_form(desugared, grappler_config=graph_optimizations())
    del blocks, desugared
    give_back()  # what compiling needed, before a worker needs memory of its own
    return native
