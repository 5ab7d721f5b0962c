# CLIP ViT-L/14-336 in mode 'channel', and its control: needs a trunk of 1024 channels, as SAM 3's own has and the demo
# model's has not.
variants = [
    dict(name='clip_similarity channel @ trunk', refiners=[
        dict(type='clip_similarity', beta=0.3, mode='channel', at='trunk')]),
    dict(name='random encoder channel @ trunk', refiners=[
        dict(type='clip_similarity', pretrained='random', beta=0.3, mode='channel', at='trunk')]),
]
