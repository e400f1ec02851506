"""The peers' side of the benchmarks: Keras and tf-keras-vis, run by `peers.py` in their own environment.

The task is the first argument, as JSON. Each line on the standard input asks for one more measurement, and each answer
is a line of JSON with its CPU seconds. All weights are random.
"""

import itertools
import json
import os
import sys
import time
from importlib.metadata import version

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever a library prints goes to the log

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def answer(**values):
    """Sends one line."""
    ANSWERS.write(json.dumps(values) + "\n")
    ANSWERS.flush()


class Clock:
    """CPU seconds from the request of a measurement to its end; ends the process where no more are requested."""

    def start(self):
        """Waits for the next request."""
        if not sys.stdin.readline():
            os._exit(0)
        self.began = time.process_time()

    def stop(self):
        """Answers a request."""
        answer(seconds=time.process_time() - self.began)


CLOCK = Clock()


def network(architecture, trained, size):
    """A network of the paper's Table 1, as its authors built it."""
    images = keras.Input((size, size, 3))
    if architecture == "benchmark_cnn":
        x = layers.Conv2D(32, 3, padding="same", activation="relu")(images)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Conv2D(256, 3, padding="same", activation="relu")(x)
        x = layers.Flatten()(layers.MaxPooling2D(2)(x))
        x = layers.Dense(128, activation="relu")(x)
    else:
        build = {"vgg16": keras.applications.VGG16, "densenet121": keras.applications.DenseNet121}[architecture]
        trunk = build(include_top=False, weights=None, input_tensor=images)
        trunk.trainable = trained == "all"
        x = trunk.output
        if trained == "head":
            x = layers.Conv2D(64, 3, name="head")(x)
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(1, activation="sigmoid")(x))


class StepByStep(keras.callbacks.Callback):
    """Each step of `fit` is one measurement, with the making of its batch."""

    def on_train_batch_end(self, batch, logs=None):
        """Answers, and waits for the next request."""
        CLOCK.stop()
        CLOCK.start()


def training_step(task):
    """`fit` on augmented images in memory (the authors' generator also decoded each file again at every step)."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    model = network(task["architecture"], task["trained"], task["size"])
    model.compile(keras.optimizers.Adam(task["learning_rate"]), "binary_crossentropy")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, task["size"], task["size"], 1)).repeat(3, 3).astype(np.float32)
    augmentation = task["augmentation"]
    generator = ImageDataGenerator(
        rescale=1 / 255,
        horizontal_flip=augmentation["horizontal_flip"],
        brightness_range=augmentation["brightness"],
        width_shift_range=1,
    )
    batches = generator.flow(pixels, np.arange(32) % 2, batch_size=task["batch"])
    CLOCK.start()
    endless = (next(batches) for _ in itertools.count())  # Keras 3 would stop after one pass
    model.fit(endless, steps_per_epoch=10**6, verbose=0, callbacks=[StepByStep()])


def forward(task):
    """A batch of the validation: `predict_on_batch`."""
    model = network(task["architecture"], task["trained"], task["size"])
    images = np.random.default_rng(0).random((task["batch"], task["size"], task["size"], 3), np.float32)
    while True:
        CLOCK.start()
        model.predict_on_batch(images)
        CLOCK.stop()


def map_of_image(task):
    """Grad-CAM or saliency of one image, by tf-keras-vis."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import BinaryScore

    model = network(task["architecture"], "head", task["size"])
    image = np.random.default_rng(0).random((1, task["size"], task["size"], 3), np.float32)
    kind, options = (Gradcam, {"penultimate_layer": "head"}) if task["method"] == "grad_cam" else (Saliency, {})
    method = kind(model, ReplaceToLinear(), clone=False)
    while True:
        CLOCK.start()
        method(BinaryScore(True), image, **options)
        CLOCK.stop()


def activation_maximization(task):
    """Iterations of activation maximization with the options of tf-keras-vis."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.activation_maximization.callbacks import Callback
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import BinaryScore

    class Each(Callback):
        def __call__(self, *values, **more):
            CLOCK.stop()
            CLOCK.start()

    model = network(task["architecture"], "head", task["size"])
    method = ActivationMaximization(model, ReplaceToLinear(), clone=False)
    CLOCK.start()
    method(BinaryScore(True), steps=10**6, callbacks=[Each()])


TASKS = {
    "activation_maximization": activation_maximization,
    "forward": forward,
    "map": map_of_image,
    "training_step": training_step,
}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    answer(versions={name: version(name) for name in ("keras", "tensorflow-cpu", "tf-keras-vis")})
    TASKS[asked["kind"]](asked)
