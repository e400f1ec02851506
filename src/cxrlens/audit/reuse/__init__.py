"""How much each layer reuses its pretraining: similarity of features and distance of weights, before and after."""
