"""Named settings: the paper's tool as it was, the same with its inputs mended, and what is used today."""

from __future__ import annotations

from cxrlens.explain.activation_maximization.optimizers import RMSProp
from cxrlens.explain.activation_maximization.options import MaximizeOptions
from cxrlens.explain.activation_maximization.parametrizations import Pixels
from cxrlens.registry import Registry

PRESETS: Registry[MaximizeOptions] = Registry("preset")

# keras-vis 0.4.1 with its default weights, for the paper's Figure 2a (the output unit, 2048 iterations, no jitter).
# Figure 2b is this with wrap 0.05 and tv 0; Figure 3 that with 200 iterations. The numbers 0 to 255 go into the network
# undivided, although the paper's networks were trained on [0, 1].
KERAS_VIS = PRESETS.register("keras-vis")(
    MaximizeOptions(
        parametrization=Pixels(),
        transforms=(),
        tv=10.0,
        lp=10.0,
        optimizer=RMSProp(),
        iterations=2048,
        keep="after best",
    )
)

# The same, with what goes into the network divided by 255. The regularizers see 0 to 255 as before.
KERAS_VIS_SCALED = PRESETS.register("keras-vis-scaled")(
    KERAS_VIS.model_copy(update={"parametrization": Pixels(divided_by=255.0)})
)

# Olah, Mordvintsev and Schubert 2017 (Feature Visualization, Distill) with lucid's constants: the defaults.
MODERN = PRESETS.register("modern")(MaximizeOptions())
