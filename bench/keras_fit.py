"""`Model.fit` of Keras for the digits task on one device, with the same marks as bench/handwritten.py.

python bench/keras_fit.py STEPS WARM_UP BATCH_SIZE
"""

import sys

import keras
from handwritten import mark

from trainer.task import DataContext
from trainer.tasks.digits import Digits


def main(steps: int, warm_up: int, batch_size: int) -> None:
    """Train `steps` steps of `batch_size` examples; the first `warm_up` of them are not measured."""
    task = Digits(Digits.defaults)
    model = task.model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=task.optimizer(), loss=loss, steps_per_execution=50)
    data = task.dataset(DataContext(batch_size=batch_size), "train")
    for count, reached in ((warm_up, warm_up), (steps - warm_up, steps)):
        model.fit(data, steps_per_epoch=count, epochs=1, verbose=0)
        mark(reached)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
