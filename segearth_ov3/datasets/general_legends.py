"""Classes and colours of Pascal VOC, Pascal Context and Cityscapes, as in mmsegmentation."""

from __future__ import annotations

from .spec import ClassColor, legend

VOC20 = legend(
    """
aeroplane 128 0 0
bicycle 0 128 0
bird 0 0 192
boat 128 128 0
bottle 128 0 128
bus 0 128 128
car 192 128 64
cat 64 0 0
chair 192 0 0
cow 64 128 0
diningtable 192 128 0
dog 64 0 128
horse 192 0 128
motorbike 64 128 128
person 192 128 128
pottedplant 0 64 0
sheep 128 64 0
sofa 0 192 0
train 128 192 0
tvmonitor 0 64 128
"""
)

VOC21 = legend(
    """
background 0 0 0
aeroplane 128 0 0
bicycle 0 128 0
bird 128 128 0
boat 0 0 128
bottle 128 0 128
bus 0 128 128
car 128 128 128
cat 64 0 0
chair 192 0 0
cow 64 128 0
diningtable 192 128 0
dog 64 0 128
horse 192 0 128
motorbike 64 128 128
person 192 128 128
pottedplant 0 64 0
sheep 128 64 0
sofa 0 192 0
train 128 192 0
tvmonitor 0 64 128
"""
)

CONTEXT59 = legend(
    """
aeroplane 180 120 120
bag 6 230 230
bed 80 50 50
bedclothes 4 200 3
bench 120 120 80
bicycle 140 140 140
bird 204 5 255
boat 230 230 230
book 4 250 7
bottle 224 5 255
building 235 255 7
bus 150 5 61
cabinet 120 120 70
car 8 255 51
cat 255 6 82
ceiling 143 255 140
chair 204 255 4
cloth 255 51 7
computer 204 70 3
cow 0 102 200
cup 61 230 250
curtain 255 6 51
dog 11 102 255
door 255 7 71
fence 255 9 224
floor 9 7 230
flower 220 220 220
food 255 9 92
grass 112 9 255
ground 8 255 214
horse 7 255 224
keyboard 255 184 6
light 10 255 71
motorbike 255 41 10
mountain 7 255 255
mouse 224 255 8
person 102 8 255
plate 255 61 6
platform 255 194 7
pottedplant 255 122 8
road 0 255 20
rock 255 8 41
sheep 255 5 153
shelves 6 51 255
sidewalk 235 12 255
sign 160 150 20
sky 0 163 255
snow 140 140 140
sofa 250 10 15
table 20 255 0
track 31 255 0
train 255 31 0
tree 255 224 0
truck 153 255 0
tvmonitor 0 0 255
wall 255 71 0
water 0 235 255
window 0 173 255
wood 31 0 255
"""
)

CONTEXT60 = (ClassColor("background", (120, 120, 120)), *CONTEXT59)

CITYSCAPES = legend(
    """
road 128 64 128
sidewalk 244 35 232
building 70 70 70
wall 102 102 156
fence 190 153 153
pole 153 153 153
traffic light 250 170 30
traffic sign 220 220 0
vegetation 107 142 35
terrain 152 251 152
sky 70 130 180
person 220 20 60
rider 255 0 0
car 0 0 142
truck 0 0 70
bus 0 60 100
train 0 80 100
motorcycle 0 0 230
bicycle 119 11 32
"""
)
