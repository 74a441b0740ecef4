"""What must not spoil a network: steps whose loss or gradients are not finite."""

import math

import torch
from torch import nn

from helpers.errors import InputError

MOST_IN_A_ROW = 10  # a scaler that starts too high needs a few; a network that is lost never stops


class StepGuard:
    """Decides which optimiser steps are taken, and counts those that are not.

    Attributes:
        skipped: steps that were skipped so far.
    """

    def __init__(self) -> None:
        self.skipped, self._in_a_row = 0, 0
        self._buffers: list[torch.Tensor] = []

    def remember(self, model: nn.Module) -> None:
        """Keep the running statistics of batch norm as they are before a step: a forward pass alone can spoil them."""
        self._buffers = [buffer.clone() for buffer in model.buffers()]

    def accepts(self, model: nn.Module, loss: float, gradient_norm: float) -> bool:
        """Tell whether to take the step; if not, put the running statistics back.

        Args:
            model: the network.
            loss: of the step's images, in every process.
            gradient_norm: of all its gradients, unscaled.

        Raises:
            InputError: too many steps in a row are not finite.
        """
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            self._in_a_row = 0
            return True
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        with torch.no_grad():
            for buffer, kept in zip(model.buffers(), self._buffers, strict=True):
                buffer.copy_(kept)
        if self._in_a_row == MOST_IN_A_ROW:
            raise InputError(
                f"training: expected a finite loss and finite gradients, found others in {MOST_IN_A_ROW} steps in a "
                "row; the last whole epoch is kept. Lower the learning rate or check the images, and train into a new "
                "folder"
            )
        return False
