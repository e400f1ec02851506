"""Whether attribution maps deserve belief: do they hang on the weights, do they tell what moves the logit."""
