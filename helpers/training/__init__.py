"""How does a network learn? Loaders, epochs, checkpoints and runs that resume."""

from helpers.training.epochs import evaluate_model, train_epoch

__all__ = ["evaluate_model", "train_epoch"]
