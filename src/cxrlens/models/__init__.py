"""Networks: backbones, weights, heads, and the classifier that consists of them."""
