"""The one part of the installation that `setup.cfg` cannot say; all else is there."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # without a compiler that can, the package installs without it and is slower on some CPUs
        Extension(
            "segearth_ov3.sam3.cpu._flash_attention",
            ["segearth_ov3/sam3/cpu/flash_attention.cpp"],
            extra_compile_args=["-std=c++17", "-O2"],
            optional=True,
        )
    ]
)
