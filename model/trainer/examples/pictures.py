"""Pictures in a folder for each class, by Keras' own reader: <class>/<any name>.png or .jpg."""

from pathlib import Path

import keras

from trainer import Data, Recipe, parameter


class Pictures(Recipe):
    """Tell pictures apart by the folder they are in."""

    side: int = parameter(32, minimum=8, maximum=1024, help="pixels of a side that pictures are scaled to")
    labels = ("cat", "dog")
    inputs = {"pixels": {"meaning": "image", "minimum": 0, "maximum": 255}}

    def data(self, folder: Path | None) -> Data:
        """Return batches of pixels (batch, row, column, channel) in 0..255 and of the class' index."""
        train, test = keras.utils.image_dataset_from_directory(
            folder or Path(),
            class_names=list(self.labels),
            batch_size=self.batch_size,
            image_size=(self.side, self.side),
            seed=self.seed,
            validation_split=0.2,
            subset="both",
            verbose=False,
        )
        return Data(train=train, test=test)

    def model(self, data: Data) -> keras.Model:
        """Return a small convolutional network that scales raw pixels itself."""
        layers = [
            keras.Input((self.side, self.side, 3), name="pixels"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(self.labels), activation="softmax", name="probabilities"),
        ]
        model = keras.Sequential(layers)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model
