"""Training, export and evaluation of the networks that metaphased ships."""

__version__ = "0.1.0"

#: Class names in the order of every network's class channels.
CLASSES = [str(n) for n in range(1, 23)] + ["X", "Y"]
#: Index of the answer "no single chromosome" in the classifiers' logits.
OTHER = len(CLASSES)
