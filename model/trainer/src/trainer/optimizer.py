"""Adam in one kernel a variable."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras' Adam (Kingma and Ba, arXiv:1412.6980), each update done by TensorFlow's fused ApplyAdam kernel.

    Keras spells an update out as a dozen element-wise operations, each a pass over the variable's memory; on a small
    network that is most of a step. `nox -s bench -- training` measures the gain.
    """

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """Update one dense float variable and its two moments in place."""
        index = self._get_variable_index(variable)
        steps = tf.cast(_variable(self.iterations) + 1, gradient.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_variable(variable).handle,
            m=_variable(self._momentums[index]).handle,
            v=_variable(self._velocities[index]).handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, gradient.dtype), steps),
            beta2_power=tf.pow(tf.cast(self.beta_2, gradient.dtype), steps),
            lr=tf.cast(learning_rate, gradient.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def faster(model: keras.Model) -> None:
    """Have a compiled model use FusedAdam where it uses Keras' Adam in a way that FusedAdam computes alike."""
    optimizer = model.optimizer
    # Not of a subclass, which computes something else.
    if type(optimizer) is not keras.optimizers.Adam or optimizer.built or not _is_plain(optimizer):
        return
    if any(str(variable.dtype) != "float32" for variable in model.trainable_variables):
        return
    model.optimizer = FusedAdam.from_config(optimizer.get_config())


def _is_plain(optimizer: keras.optimizers.Adam) -> bool:
    """Tell whether nothing changes the update beside the rule itself."""
    is_clipped = any((optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm))
    is_scaled = any((optimizer.weight_decay, optimizer.use_ema, optimizer.loss_scale_factor))
    return not (is_clipped or is_scaled or optimizer.amsgrad or optimizer.gradient_accumulation_steps)


def _variable(variable: Any) -> tf.Variable:
    """Return the TensorFlow variable behind a Keras one."""
    return variable if isinstance(variable, tf.Variable) else variable.value
