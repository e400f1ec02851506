"""What each layer kept of its pretraining: similarity of features and distance of weights, before and after."""
