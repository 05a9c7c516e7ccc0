"""Train one TensorFlow model by a recipe: write it down once, get fitting, resuming, logs and export with it."""

from trainer.data import Data
from trainer.errors import InputError
from trainer.parameters import parameter
from trainer.recipe import Recipe

__all__ = ["Data", "InputError", "Recipe", "parameter"]
