"""From an image and a vocabulary to class scores: what happens between the network and the labels."""
