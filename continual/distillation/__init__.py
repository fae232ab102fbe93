"""Loss functions of distillation: tensors in, a scalar out, no state."""
