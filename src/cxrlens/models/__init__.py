"""Networks: backbones, weights, heads, and the classifier that they make."""
